"""Names from a model as LaTeX and prose as LaTeX: what a user writes can never break a document."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

GREEK = {
    name: f"\\{name}"
    for name in (
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma "
        "tau upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
    ).split()
} | {"lam": r"\lambda", "eps": r"\varepsilon"}

_ACCENTS = {"hat", "tilde"}  # commands; a bar is that of adjoints

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", '"': "''",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "`": r"\textasciigrave{}",
}  # fmt: skip

# the accented letters that Computer Modern composes
_LATIN = frozenset(chr(c) for c in range(0xC0, 0x100)) - frozenset("ÐÞðþ×÷")

# what rules and reasons are written with, in math mode
_SIGNS = {
    "Σ": r"\sum", "Π": r"\prod", "∂": r"\partial ", "·": r"\cdot ", "−": "-", "×": r"\times ",
    "∞": r"\infty ", "≥": r"\ge ", "≤": r"\le ", "≠": r"\ne ", "≈": r"\approx ", "→": r"\to ",
    "∈": r"\in ", "√": r"\surd ", "²": "^{2}", "³": "^{3}", "′": "'",
}  # fmt: skip
_SUBSCRIPTED = re.compile(r"(?<!\w)([^\W\d_])_(\{[^{}]*\}|[^\W\d_]{1,2}'*)(?!\w)")  # δ_ij, Σ_{i,j}


def escape(text: str) -> str:
    """Any text as LaTeX prose, on one line. Letters that LaTeX's fonts lack become code points."""
    return literal(" ".join(text.split()))


def prose(
    text: str,
    plain: Callable[[str], str] | None = None,
    formula: Callable[[str], str] = "${}$".format,
) -> str:
    """Text on one line in which δ_ij, f_i or Σ_i is mathematics: LaTeX, unless `plain` and `formula` say otherwise."""
    parts = _SUBSCRIPTED.split(" ".join(text.split()))
    words = map(plain or literal, parts[::3])
    formulas = [
        formula(f"{_mathematics(base)}_{{{_mathematics(subscript.strip('{}'))}}}")
        for base, subscript in zip(parts[1::3], parts[2::3])
    ]
    return "".join(word + f for word, f in zip(words, [*formulas, ""]))


@dataclass(frozen=True)
class Name:
    r"""A name taken apart: ln1_hat is \widehat{\mathrm{ln}}^{(1)}, W1_out is W^{(1)}_{\mathrm{out}}."""

    stem: str  # as in the model
    layer: str = ""  # the digits behind the stem
    accent: str = ""  # a command
    label: str = ""  # a word behind the stem
    prime: bool = False

    def latex(self, indices: str = "", adjoint: bool = False, layer: bool = True) -> str:
        r"""In math mode, at indices; z2 is z^{(2)}, or z_{2} where no layer is meant. An adjoint has a bar."""
        head, plain = _stem(self.stem), len(self.stem) == 1 or self.stem in GREEK
        if self.accent:
            head = rf"\{'' if plain else 'wide'}{self.accent}{{{head}}}"
        if adjoint:
            head = (r"\bar" if plain else r"\overline") + f"{{{head}}}"
        label = rf"\mathrm{{{self.label}}}" if self.label else ""
        below = ",".join(filter(None, ("" if layer else self.layer, label, indices)))
        above = "'" * self.prime + (f"^{{({self.layer})}}" if self.layer and layer else "")
        return head + above + (f"_{{{below}}}" if below else "")


def name_latex(name: str, indices: str = "", layer: bool = True, adjoint: bool = False) -> str:
    r"""A name in math mode. Trailing digits number the layer, a word behind an underscore is a subscript.

    z2 → z^{(2)}, h_out → h_{\mathrm{out}}, g_hat → \hat{g}, x_prime → x'; an adjoint is \bar{z}^{(2)}. A word before
    digits or a second underscore stays whole: x_1 and x1 must differ on paper too.
    """
    return _name(name).latex(indices, adjoint, layer)


def index_latex(name: str) -> str:
    """An index, with its primes."""
    plain = name.rstrip("'")
    return name_latex(plain, layer=False) + "'" * (len(name) - len(plain))


def _name(name: str) -> Name:
    found = re.fullmatch(r"([^\W\d_]+)(\d*)(?:_([a-zA-Z]+))?", name)
    if found is None:
        return Name(name)
    stem, digits, word = found[1], found[2], found[3] or ""
    if word in _ACCENTS:
        return Name(stem, digits, accent=word)
    return Name(stem, digits, prime=True) if word == "prime" else Name(stem, digits, label=word)


def _stem(stem: str) -> str:
    if stem in GREEK:
        return GREEK[stem]
    if len(stem) == 1 and (letter := _greek_letter(stem)):
        return letter
    if len(stem) == 1 and stem.isascii() and stem.isalpha():
        return stem
    return rf"\mathrm{{{escape(stem)}}}" if stem.isascii() else rf"\text{{{escape(stem)}}}"


def _greek_letter(character: str) -> str:
    """σ → \\sigma, by its Unicode name; empty for anything else."""
    words = unicodedata.name(character, "").split()
    if words[:1] != ["GREEK"] or words[2:3] != ["LETTER"]:
        return ""
    name = words[3].lower().replace("lamda", "lambda")
    return GREEK.get(name.capitalize() if words[1] == "CAPITAL" else name, "")


def literal(text: str) -> str:
    """As `escape`, with every space kept."""
    return "".join(_character(c) for c in text)


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isascii():
        return character
    if character in _SIGNS or _greek_letter(character):
        return f"${_mathematics(character).strip()}$"
    if character in _LATIN or character in "–—…‘’“”":
        return character
    return f"[U+{ord(character):04X}]"


def _mathematics(text: str) -> str:
    """Letters and signs in math mode."""
    return "".join(_SIGNS.get(c) or _greek_letter(c) or _upright(c) for c in text)


def _upright(character: str) -> str:
    plain = character.isascii() and character.isalnum()
    return character if plain else rf"\text{{{_character(character)}}}"
