"""Finished code as a tree with its text: what stands at a node, and what it reads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_BREAK = re.compile(r"\s*\n\s*")


def joined(code: str) -> str:
    """A statement that was laid out on several lines, on one."""
    text = _BREAK.sub(" ", code.strip())
    text = re.sub(r"([\[({]) ", r"\1", text)
    return re.sub(r",? ([\])}])", r"\1", text)


def names(node: ast.AST) -> set[str]:
    """The variables that an expression or a statement names."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def base(node: ast.expr) -> str | None:
    """The variable that a place belongs to: of `h[:, t]`, h."""
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


@dataclass
class Text:
    """The text of nodes; a node that was replaced stands as its successor."""

    code: str
    replaced: dict[ast.expr, str] = field(default_factory=dict)

    def of(self, node: ast.expr) -> str:
        """The text of a node, with what was replaced in it."""
        if node in self.replaced:
            return self.replaced[node]
        text, start = self._plain(node), self._start(node)
        inside = [n for n in self._outermost(node) if n is not node]
        for part in sorted(inside, key=self._start, reverse=True):
            at, length = self._start(part) - start, len(self._plain(part))
            by = self.replaced[part]
            if text[at - 1 : at] == "(" and text[at + length : at + length + 1] == ")":
                if not (text[: at - 1] and (text[at - 2].isalnum() or text[at - 2] == "_")):
                    at, length = at - 1, length + 2  # parentheses that were its own
            text = text[:at] + by + text[at + length :]
        return text

    def behind(self, node: ast.expr, inner: ast.expr) -> str:
        """What stands behind an inner node: of `(a + b).T` and `a + b`, `.T`."""
        whole, part = self._plain(node), self._plain(inner)
        at = whole.index(part)
        return whole[at + len(part) :].lstrip(") ") if at else whole[len(part) :]

    def _plain(self, node: ast.expr) -> str:
        return ast.get_source_segment(self.code, node) or ""

    def _start(self, node: ast.expr) -> int:
        return len(self.code.encode()[: node.col_offset].decode())

    def _outermost(self, node: ast.AST) -> Iterator[ast.expr]:
        """The replaced nodes inside a node that stand in no other replaced one."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr) and child in self.replaced:
                yield child
            else:
                yield from self._outermost(child)
