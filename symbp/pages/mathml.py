"""Formulas as MathML, which browsers set without a script."""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

_NAMESPACE = "http://www.w3.org/1998/Math/MathML"
_THIN = "0.167em"
_PRIMES = frozenset("′″‴⁗")
_BAR, _STRETCHING_BAR = "―", "¯"


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
    r"""An operator of a certain size, \mathbin{\big/}, is one operator; and a bar is one that stretches."""
    inner = node.find(".//mo") if node.tag == "mo" else None
    if inner is not None:
        node[:], node.text = [], inner.text
        node.attrib |= inner.attrib
    if node.text == _BAR:
        node.text, node.attrib = _STRETCHING_BAR, {"stretchy": "true"}


def _put_below(node: Element) -> None:
    """What max runs over stands below it in a display, as it does below Σ."""
    if node.tag == "msub" and _is_function(node[0]):
        node.tag = "munder"


def _space(parent: Element) -> None:
    """Spaces as LaTeX has them: none inside brackets of a fixed size, a thin one behind a function without brackets."""
    for child, following in zip(parent, [*parent[1:], None]):
        if child.get("fence"):
            child.attrib |= {"lspace": "0", "rspace": "0"}
        elif _is_function(child):
            bracket = following is not None and following.tag == "mo"
            child.attrib |= {"lspace": "0", "rspace": "0" if bracket else _THIN}


def _is_function(node: Element) -> bool:
    return node.tag == "mo" and (node.text or "").isalpha()
