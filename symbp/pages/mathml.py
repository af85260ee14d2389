"""Formulas as MathML, which browsers set without a script."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import groupby
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

_NAMESPACE = "http://www.w3.org/1998/Math/MathML"
_THIN = "0.167em"
_PRIMES = frozenset("′″‴⁗")
_OVERLINE = "―"
_HAT, _WIDE_HAT = "^", "\N{COMBINING CIRCUMFLEX ACCENT}"
_BOLD = str.maketrans("0123456789", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗")
_BRACKETS = {
    r"\lvert": "|", r"\rvert": "|", r"\lfloor": "⌊", r"\rfloor": "⌋", r"\lceil": "⌈", r"\rceil": "⌉",
}  # fmt: skip


@lru_cache(maxsize=10_000)
def mathml(latex: str, block: bool = False) -> str:
    r"""A formula of LaTeX's math mode as <math>; with `block` as in a display, indices below Σ, yet within a line."""
    from latex2mathml.converter import convert

    text = convert(latex, display="block" if block else "inline")
    root = ElementTree.fromstring(text.replace(f' xmlns="{_NAMESPACE}"', ""))
    for node in list(root.iter()):
        _join_letters(node)
        _lower_primes(node)
        _flatten(node)
        _unescape(node)
        _embolden(node)
        _set_accent(node)
        if block:
            _put_below(node)
    for node in root.iter():
        _space(node)
    root.attrib = {"xmlns": _NAMESPACE} | ({"displaystyle": "true"} if block else {})
    return ElementTree.tostring(root, encoding="unicode")


def _join_letters(parent: Element) -> None:
    r"""The letters of \mathrm{loss} are one name, which is upright for that."""
    parts: list[Element] = []
    for upright, group in groupby(parent, lambda c: c.get("mathvariant") == "normal"):
        found = list(group)
        if upright and len(found) > 1:
            name = Element("mi")
            name.text = "".join(letter.text or "" for letter in found)
            found = [name]
        parts += found
    parent[:] = parts


def _lower_primes(parent: Element) -> None:
    """A prime stands beside its letter: the sign is small and raised by itself, and illegible as a superscript."""
    for child in parent:
        if child.tag == "msup" and child[1].text in _PRIMES:
            child[1].tag, child[1].attrib = "mo", {"lspace": "0", "rspace": "0"}
            child.tag = "mrow"


def _flatten(node: Element) -> None:
    r"""An operator of a certain size, \mathbin{\big/}, is one operator, and \bigl\lvert one bracket."""
    inner = node.find(".//mo") if node.tag == "mo" else None
    if inner is not None:
        node[:], node.text = [], inner.text
        node.attrib |= inner.attrib
    text = _BRACKETS.get(node.text or "", node.text)
    if text in _BRACKETS.values():
        node.tag, node.text = "mo", text
        node.attrib = {"stretchy": "false", **node.attrib, "fence": "true"}


def _unescape(node: Element) -> None:
    r"""In \text a sign that is special to LaTeX stands behind a backslash."""
    if node.tag == "mtext":
        node.text = re.sub(r"\\([_&%#${}])", r"\1", node.text or "")


def _embolden(node: Element) -> None:
    r"""The 1 of \mathbf{1} is a sign of its own: browsers know no variant of a number."""
    if node.tag == "mn" and node.attrib.pop("mathvariant", "") == "bold":
        node.text = (node.text or "").translate(_BOLD)


def _set_accent(node: Element) -> None:
    """An accent is as large as the letter is. The line over a word is a border, which no font need have."""
    if node.tag != "mover":
        return
    if node[1].text == _OVERLINE:
        node.tag = "mrow"
        node.set("class", "overline")
        node.remove(node[1])
        return
    node.set("accent", "true")
    if node[1].text == _HAT and len("".join(node[0].itertext())) > 1:
        node[1].text = _WIDE_HAT
        node[1].set("stretchy", "true")


def _put_below(node: Element) -> None:
    """What max runs over stands below it in a display, as it does below Σ."""
    if node.tag == "msub" and _is_function(node[0]):
        node.tag = "munder"


def _space(parent: Element) -> None:
    """Spaces as LaTeX has them: none inside brackets of a fixed size or at ∂, a thin one behind a function."""
    for child, following in zip(parent, [*parent[1:], None]):
        if child.get("fence") or child.text == "∂":
            child.attrib |= {"lspace": "0", "rspace": "0"}
        elif _is_function(child):
            bracket = following is not None and following.tag == "mo"
            child.attrib |= {"lspace": "0", "rspace": "0" if bracket else _THIN}


def _is_function(node: Element) -> bool:
    return node.tag == "mo" and (node.text or "").isalpha()
