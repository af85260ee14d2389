"""The statements of a function body as operations on arrays, in the order of the body, loops kept as loops."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from textwrap import dedent

from sympy import Expr, Symbol

from symbp.fast.arrays import Array, Unknown, array_of, shape
from symbp.fast.source import Text, base, joined, names
from symbp.fast.values import Loop, Place
from symbp.fast.writer import OPERATORS, Writer
from symbp.ir.module import Block, Body, Line, code_of
from symbp.results import is_fresh


@dataclass(frozen=True)
class Repeat:
    """A loop: its first line, and what is in it."""

    head: str
    body: tuple[str | Repeat | Step, ...]


@dataclass(frozen=True)
class Step:
    """The operations of one formula, which stands above them."""

    line: Line
    code: tuple[str | Repeat, ...]


@dataclass
class Operations:
    """A body taken apart: its steps, and the arrays that they write to.

    `results` are the variables that the function returns for others to keep, and so lie in no other's memory.
    """

    known: dict[str, Array]
    sizes: frozenset[str]
    results: frozenset[str]
    copies: dict[str, str] = field(
        default_factory=dict
    )  # what another function has copied: code -> name
    buffers: dict[str, Array] = field(default_factory=dict)
    writer: Writer = field(init=False)
    rebound: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.known |= {name: Array((), "number") for name in self.sizes}
        self.writer = Writer(self.known, given=self.copies)

    def body(self, body: Body) -> tuple[Step | Repeat, ...]:
        """All steps; a loop holds steps in its own body."""
        self.rebound = _rebound(body)
        return tuple(self._steps(body.lines))

    def _steps(self, lines: Iterable[Line | Block]) -> Iterator[Step | Repeat]:
        for line in lines:
            if isinstance(line, Block):
                yield from self._repeat(line)
                continue
            code = [op for text in line.code for op in self._statement(text, line.shape)]
            if code or not line.code:  # else it is a constant, made with the arrays
                yield Step(line, tuple(code))

    def _repeat(self, block: Block) -> Iterator[Step | Repeat]:
        """A loop over steps, and before the outermost what is made once for all steps."""
        self._count(block.head)
        writer, outer = self.writer, self.writer.loop is None
        if outer:
            writer.loop = Loop(frozenset(_changed(block)))
        body = tuple(self._steps(block.lines))
        if outer and writer.loop is not None:
            if writer.loop.before:
                what = "transposed once, for all steps of the loop"
                yield Step(Line(what, "", ()), tuple(writer.loop.before))
            writer.loop = None
        yield Repeat(block.head, body)

    def _count(self, head: str) -> None:
        """The variable of a loop is a number."""
        if variable := _variable(head):
            self.known[variable] = Array((), "number")

    def _statement(self, code: str, hint: str) -> list[str | Repeat]:
        tree = ast.parse(code).body[0]
        if isinstance(tree, ast.For):
            return self._loop(code)
        found: list[str | Repeat] = []
        parts = [ast.get_source_segment(code, n) or "" for n in ast.parse(code).body]
        for text in map(joined, parts):
            found += self._single(text, hint)
        return found

    def _loop(self, code: str) -> list[str | Repeat]:
        """A loop over the places of a window; a product that it makes at each is made for all before it."""
        heads: list[str] = []
        while code.startswith("for "):
            head, _, code = code.partition("\n")
            heads.append(head)
            self._count(head)
            code = dedent(code)
        variables = {str(_variable(head)) for head in heads}
        before, body = self._hoisted(code, variables)
        inner: tuple[str | Repeat | Step, ...] = tuple(body)
        for head in reversed(heads):
            inner = (Repeat(head, inner),)
        return [*before, *(item for item in inner if not isinstance(item, Step))]

    def _hoisted(self, code: str, variables: set[str]) -> tuple[list[str], list[str | Repeat]]:
        """Statements before a loop, and its body. `variables` are those of the loop."""
        tree, text = ast.parse(code), joined(code)
        if len(tree.body) == 1 and isinstance(tree.body[0], ast.AugAssign):
            node = ast.parse(text).body[0]
            assert isinstance(node, ast.AugAssign)
            writer = self.writer
            before = writer.lines = []
            writer.text = Text(text)
            writer.hoist(node.value, variables)
            writer.lines = []
            self._augment(node)
            return before, [*writer.lines]
        parts = [ast.get_source_segment(code, n) or "" for n in tree.body]
        return [], [op for part in parts for op in self._statement(part, "")]

    def _single(self, code: str, hint: str) -> list[str]:
        """The operations of one statement; the statement itself where its form is not known."""
        writer, node = self.writer, ast.parse(code).body[0]
        before = dict(writer.temporary), dict(self.buffers)
        writer.lines, writer.text = [], Text(code)
        try:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._assign(name, value, code, hint)
                case ast.Assign(targets=[ast.Subscript() as target], value=value):
                    self._store(target, value)
                case ast.AugAssign():
                    self._augment(node)
                case _:
                    self._others(node, code)
        except Unknown:
            writer.temporary, self.buffers = before
            writer.lines, writer.text = [], Text(code)
            writer.lines.append(self._with_parts(node, code))
            self._unknown(node, hint)
        return writer.lines

    def _augment(self, node: ast.AugAssign) -> None:
        """A value that is added to what is there; at places of integers as it is written."""
        writer = self.writer
        target, value = writer.text.of(node.target), writer.operand(node.value)
        if writer.is_view(node.target):
            writer.combine(target, type(node.op), value)
        else:
            writer.lines.append(f"{target} {OPERATORS[type(node.op)][1]} {value}")

    def _with_parts(self, node: ast.stmt, code: str) -> str:
        """A statement as it is, on parts that are computed before."""
        writer = self.writer
        if not isinstance(node, ast.Assign):
            return code
        try:
            value = writer.inside(node.value)
        except Unknown:
            writer.lines, writer.text = [], Text(code)
            return code
        return code.encode()[: node.value.col_offset].decode() + value

    def _unknown(self, node: ast.stmt, hint: str) -> None:
        """What is known all the same of variables that a statement assigns."""
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            self.known.pop(name, None)
            if hint:
                self.known[name] = Array(shape(ast.parse(hint, mode="eval").body))
            if not is_fresh(node.value):
                self.writer.views[name] = names(node.value)

    def _others(self, node: ast.stmt, code: str) -> None:
        """Views, of `after, before = whole[1:], whole[:-1]`, and whatever else."""
        self.writer.lines = [code]
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            assert isinstance(node.value, ast.Tuple)
            for target, value in zip(node.targets[0].elts, node.value.elts, strict=True):
                assert isinstance(target, ast.Name)
                self.known[target.id] = array_of(value, self.known)
                self.writer.views[target.id] = names(value)

    def _assign(self, name: str, value: ast.expr, code: str, hint: str) -> None:
        writer = self.writer
        array = writer.array(value)
        own = name in self.results or name in self.rebound
        if array.rank and names(value) - {"np"} <= self.sizes and not own:
            writer.constant(name, writer.text.of(value), array)
        elif not array.rank or array.kind in ("int", "number"):
            writer.lines.append(f"{name} = {writer.operand(value)}")
            self.known[name] = array
        elif not own and (writer.is_view(value) or self._seen(value)):
            text = writer.operand(value)
            writer.lines.append(f"{name} = {text}")
            seen = ast.parse(text, mode="eval").body
            self.known[name], writer.views[name] = writer.array(seen), names(seen)
        else:
            kept = Array(array.shape, array.kind, True)
            if name in self.buffers and self.buffers[name] != kept:
                raise Unknown(f"{name} has two shapes")
            self.buffers[name] = kept
            place = Place(name, kept, name)
            if name in names(value):
                self.known[name] = kept
            writer.into(value, place)
            self.known[name] = kept

    def _seen(self, value: ast.expr) -> bool:
        """Whether a value is a view on one that has to be computed, and is best computed in its own order."""
        if self.writer.is_direct(value):
            return False
        match value:
            case ast.Subscript():
                return not self.writer.is_gather(value)
            case ast.Attribute(attr="T"):
                return True
            case ast.Call(func=ast.Attribute(attr="transpose" | "swapaxes" | "reshape")):
                return True
        return False

    def _store(self, target: ast.Subscript, value: ast.expr) -> None:
        """A value written to a part of an array."""
        writer, owner = self.writer, base(target)
        text = writer.text.of(target)
        if owner is None or not writer.is_view(target):
            writer.lines.append(f"{text} = {writer.operand(value)}")
            return
        place = Place(text, writer.array(target), owner)
        found = writer.array(value)
        if found.shape == place.array.shape and not writer.is_view(value) and found.rank:
            writer.into(value, place)
        else:
            writer.lines.append(f"{text} = {writer.operand(value)}")


def _changed(block: Block) -> Iterator[str]:
    """The variables that a loop assigns, or whose arrays it writes to."""
    for node in ast.walk(ast.parse("\n".join(code_of([block])))):
        if isinstance(getattr(node, "ctx", None), ast.Store) and isinstance(node, ast.expr):
            if name := base(node):
                yield name


def _variable(head: str) -> str | None:
    """The variable of a loop, by its first line."""
    loop = ast.parse(f"{head} pass").body[0]
    if isinstance(loop, ast.For) and isinstance(loop.target, ast.Name):
        return loop.target.id
    return None


def _rebound(body: Body) -> frozenset[str]:
    """Variables that are assigned more than once, or in a loop that reads them before."""
    tree = ast.parse("\n".join(code_of(body.lines)))
    counts = Counter(
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    )
    return frozenset(name for name, count in counts.items() if count > 1)


def plain(size: Expr) -> Expr:
    """A size in symbols of which it is only known that they are whole, as code has them."""
    return size.xreplace({s: Symbol(s.name, integer=True) for s in size.free_symbols})


def declared(shapes: Mapping[str, Collection[Expr]], integers: Collection[str]) -> dict[str, Array]:
    """What is known of declared tensors: theirs may be any layout, though most lie in C order."""
    return {
        name: Array(tuple(map(plain, sizes)), "int" if name in integers else "float", True)
        for name, sizes in shapes.items()
    }
