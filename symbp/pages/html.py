"""Documents as one page that needs nothing else, no script and no network, and as a part of a notebook."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Collection, Mapping, Sequence

from symbp.notation import display
from symbp.pages.blocks import Block, Code, Display, Figure, Row, Section, Table
from symbp.pages.mathml import mathml
from symbp.pages.templates import environment
from symbp.pictures import svg
from symbp.pictures.graph import Chain, Graph

PIECE = 36.0  # glyphs that fit a line on a phone; what is wider and cannot be broken scrolls

_MARK = '<span class="check" role="img" aria-label="checked">✓</span>'
_LEGEND = f"{_MARK} Both sides of this line were evaluated at random points with many digits, and they agree."
_POINTED = re.compile(r"(<math\b(?:(?!</math>).)*</math>)([.,;:!?)]+)")
_LEVELS = {"page": 1, "part": 2}  # of headings above the sections
_ANCHOR = re.compile(r'( id="|href="#|url\(#)')


def html_page(title: str, sections: Sequence[Section]) -> str:
    """A complete page. Titles, prose and cells are HTML already, formulas are LaTeX."""
    style = f"\n{_template('page.css')}{_template('document.css')}{svg.STYLE}"
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _template(
        "page.html.jinja",
        title=title,
        style=style,
        style_source=f"sha256-{digest}",  # the only style that the page lets a browser use
        contents=_contents(sections),
        legend=_legend(sections),
        body=_body(sections, _LEVELS["page"]),
    )


def html_part(title: str, sections: Sequence[Section]) -> str:
    """A part of another page, whose colours it takes on. Its anchors are those of no other document there."""
    body = _body(sections, _LEVELS["part"])
    prefix = f"d{hashlib.sha256(body.encode()).hexdigest()[:8]}-"
    return _template(
        "part.html.jinja",
        title=title,
        style=f"{_template('document.css')}{svg.STYLE}{_template('part.css')}",
        legend=_legend(sections),
        body=_ANCHOR.sub(rf"\g<1>{prefix}", body),
    )


def _template(name: str, **context: object) -> str:
    return environment("html").get_template(name).render(context)


def _legend(sections: Sequence[Section]) -> str:
    """What the mark of a checked line means; nothing where there is none."""
    blocks = (b for s in sections for b in s.blocks if isinstance(b, Display))
    return _LEGEND if any(row.checked for b in blocks for row in b.rows) else ""


def _anchors(sections: Sequence[Section]) -> list[str]:
    """One for each section; a section without one of its own has a number."""
    return [html.escape(s.anchor) or f"part-{k}" for k, s in enumerate(sections, start=1)]


def _contents(sections: Sequence[Section]) -> list[dict[str, object]]:
    """Sections with their subsections."""
    entries: list[dict[str, object]] = []
    parts: list[dict[str, object]] = []
    for anchor, section in zip(_anchors(sections), sections):
        if section.level == 1 or not entries:
            parts = []
            entries.append({"id": anchor, "title": section.title, "parts": parts})
        else:
            parts.append({"id": anchor, "title": section.title})
    return entries


def _body(sections: Sequence[Section], above: int) -> str:
    anchors = _anchors(sections)
    linked = {a.removeprefix("eq-") for a in anchors if a.startswith("eq-")}
    described = [
        {
            "id": anchor,
            "title": section.title,
            "heading": f"h{above + section.level}",
            "part": section.level
            > 1,  # its title, for those who listen, is the left side of its first formula
            "blocks": [_block(b, linked) for b in section.blocks],
        }
        for anchor, section in zip(anchors, sections)
    ]
    return _template("body.html.jinja", sections=described)


def _block(block: Block, linked: Collection[str]) -> Mapping[str, object]:
    """What the template sets of a block. `linked` are the tensors that have a section."""
    if isinstance(block, Display):
        noted = any(row.note or row.cost or row.checked for row in block.rows)
        return {"kind": block.kind, "noted": noted, "rows": [_row(row) for row in block.rows]}
    if isinstance(block, Table):
        label = f"Table: {', '.join(map(_plain, block.head))}"
        return {"kind": block.kind, "label": label, "head": block.head, "rows": block.rows}
    if isinstance(block, Code):
        return {"kind": block.kind, "text": html.escape("\n".join(block.lines))}
    if isinstance(block, Figure):
        drawn = _picture(block.picture, linked)
        return {"kind": block.kind, "picture": drawn, "caption": _prose(block.caption)}
    return {"kind": block.kind, "text": _prose(block.text)}


def _prose(text: str) -> str:
    """A point or a comma stays on the line of the formula before it."""
    return _POINTED.sub(r'<span class="unbroken">\1\2</span>', text)


def _picture(picture: Graph | Chain, linked: Collection[str]) -> str:
    return svg.svg(picture, linked) if isinstance(picture, Graph) else svg.chain_svg(picture)


def _plain(text: str) -> str:
    """HTML without its marks, for an attribute."""
    return html.escape(html.unescape(re.sub(r"<[^>]*>", "", text)))


def _row(row: Row) -> dict[str, str]:
    parts = [
        row.note,
        f'<span class="cost">{row.cost}</span>' if row.cost else "",
        _MARK if row.checked else "",
    ]
    return {
        "left": _pieces(row.left) if row.left else "",
        "right": _pieces(f"= {row.right}"),
        "note": " ".join(filter(None, parts)),
    }


def _pieces(formula: str) -> str:
    """A formula as pieces between which a browser may break it. The first sign of a piece is one between two sides."""
    return "".join(map(_piece, display.pieces(formula, PIECE)))


def _piece(latex: str) -> str:
    infix = latex.startswith((*display.OPERATORS, r"\cdot"))
    shown = mathml(rf"{{}} {latex}" if infix else latex, block=True)
    if display.width(latex) <= PIECE:
        return f"<div>{shown}</div>"
    return f'<div class="wide" tabindex="0" role="group" aria-label="Formula">{shown}</div>'
