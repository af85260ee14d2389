"""What is known of the arrays in finished NumPy code before it runs: shape, kind, and how they lie in memory."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sympy import Expr, Integer, Symbol, floor

Shape = tuple[Expr, ...]

RANK = {"number": 0, "bool": 1, "int": 2, "float": 3}
"""The kinds; what an operation gives is of the highest kind among its operands. A number is Python's own."""


class Unknown(Exception):
    """The code is of a form that nothing is known of here."""


@dataclass(frozen=True)
class Array:
    """An array of this shape; `packed` says that it surely has no gaps and its axes lie in order (C order)."""

    shape: Shape
    kind: str = "float"
    packed: bool = False

    @property
    def rank(self) -> int:
        return len(self.shape)

    def of(self, kind: str) -> Array:
        return replace(self, kind=kind)


NUMBER = Array((), "number")

Known = Mapping[str, Array]


def array_of(node: ast.expr, known: Known) -> Array:
    """The value of an expression, given what is known of its names. Raises `Unknown`."""
    match node:
        case ast.Constant(value=int() | float()):
            return NUMBER
        case ast.Name(id=name):
            if name not in known:
                raise Unknown(name)
            return known[name]
        case ast.Attribute(value=ast.Name(id="np"), attr="pi" | "inf"):
            return NUMBER
        case ast.Attribute(value=value, attr="T"):
            array = array_of(value, known)
            return replace(array, shape=array.shape[::-1], packed=array.packed and array.rank < 2)
        case ast.UnaryOp(operand=operand):
            return replace(array_of(operand, known), packed=True)
        case ast.BinOp(left=left, op=ast.MatMult(), right=right):
            return product(array_of(left, known), array_of(right, known))
        case ast.BinOp(left=left, op=op, right=right):
            both = broadcast([array_of(left, known), array_of(right, known)])
            exact = both.kind in ("number", "bool") or not isinstance(op, (ast.Div, ast.Pow))
            return both if exact else both.of("float")
        case ast.Compare(left=left, comparators=[right]):
            return broadcast([array_of(left, known), array_of(right, known)]).of("bool")
        case ast.Subscript(value=value, slice=slots):
            return _item(array_of(value, known), slots, known)
        case ast.Call():
            return _call(node, known)
    raise Unknown(ast.dump(node))


def broadcast(arrays: Sequence[Array]) -> Array:
    """What an operation on entries gives, in C order."""
    rank = max(a.rank for a in arrays)
    shape: list[Expr] = []
    for axis in range(-rank, 0):
        sizes = {a.shape[axis] for a in arrays if a.rank >= -axis} - {Integer(1)}
        if len(sizes) > 1:
            raise Unknown(f"sizes {sizes} side by side")
        shape.append(sizes.pop() if sizes else Integer(1))
    return Array(tuple(shape), max((a.kind for a in arrays), key=RANK.__getitem__), True)


def product(a: Array, b: Array) -> Array:
    """a @ b."""
    if not a.rank or not b.rank:
        raise Unknown("a matrix product of a number")
    lead = broadcast([Array(a.shape[:-2]), Array(b.shape[:-2])]).shape
    rows = a.shape[-2:-1] if a.rank > 1 else ()
    columns = b.shape[-1:] if b.rank > 1 else ()
    return Array((*lead, *rows, *columns), "float", True)


def size(node: ast.expr) -> Expr:
    """The code of a size as an expression. Raises `Unknown`."""
    match node:
        case ast.Constant(value=int(value)):
            return Integer(value)
        case ast.Name(id=name):
            return Symbol(name, integer=True)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -size(operand)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return size(left) + size(right)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return size(left) - size(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return size(left) * size(right)
        case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
            return floor(size(left) / size(right))
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return size(left) ** size(right)
    raise Unknown(ast.dump(node))


def shape(node: ast.expr) -> Shape:
    """The code of a shape."""
    return tuple(map(size, node.elts)) if isinstance(node, ast.Tuple) else (size(node),)


def numbers(node: ast.expr) -> list[int]:
    """The code of whole numbers, such as axes. Raises `Unknown`."""
    parts = node.elts if isinstance(node, (ast.Tuple, ast.List)) else [node]
    found = [size(part) for part in parts]
    if not all(n.is_Integer for n in found):
        raise Unknown(ast.dump(node))
    return [int(n) for n in found]


def _item(array: Array, slots: ast.expr, known: Known) -> Array:
    """array[slots]: slices, single places, new axes, and arrays of places."""
    parts = list(slots.elts) if isinstance(slots, ast.Tuple) else [slots]
    if len(parts) == 1 and isinstance(parts[0], ast.Constant) and parts[0].value is ...:
        return array
    places: list[Array] = []
    found: list[Expr | None] = []
    axis = 0
    packed = array.packed
    for part in parts:
        if isinstance(part, ast.Constant) and part.value is None:
            found.append(Integer(1))
            continue
        if axis >= array.rank:
            raise Unknown("more places than axes")
        if isinstance(part, ast.Slice):
            length = _sliced(array.shape[axis], part)
            packed = packed and (length == array.shape[axis] or not found)
            found.append(length)
        else:
            place = array_of(part, known)
            if place.rank:
                places.append(place)
                found.append(None)
            else:
                packed = packed and not found
        axis += 1
    shape_ = [*found, *array.shape[axis:]]
    if not places:
        return replace(array, shape=tuple(s for s in shape_ if s is not None), packed=packed)
    every = broadcast(places).shape
    at = [k for k, s in enumerate(shape_) if s is None]
    beside = at == list(range(at[0], at[-1] + 1))
    if any(n for n in range(at[0]) if shape_[n] == 1) or not beside:
        raise Unknown("gathers apart")
    rest = tuple(s for s in shape_[at[-1] + 1 :] if s is not None)
    return Array((*(s for s in shape_[: at[0]] if s is not None), *every, *rest), array.kind, True)


def _sliced(length: Expr, part: ast.Slice) -> Expr:
    if part.step is not None and not (part.lower is None and part.upper is None):
        raise Unknown("a slice with a step")
    if part.step is not None:
        if numbers(part.step) != [-1]:
            raise Unknown("a slice with a step")
        return length
    start = Integer(0) if part.lower is None else size(part.lower)
    stop = length if part.upper is None else size(part.upper)
    start = length + start if start.is_Integer and start < 0 else start
    stop = length + stop if stop.could_extract_minus_sign() else stop
    return stop - start


def _call(node: ast.Call, known: Known) -> Array:
    named = {k.arg: k.value for k in node.keywords if k.arg is not None}
    if isinstance(node.func, ast.Name) and node.func.id == "sliding_window_view":
        array = array_of(node.args[0], known)
        widths, axes = shape(node.args[1]), numbers(named["axis"])
        left = list(array.shape)
        for axis, width in zip(axes, widths, strict=True):
            left[axis] -= width - 1
        return Array((*left, *widths), array.kind)
    if isinstance(node.func, ast.Name) and node.func.id == "_scatter_add":
        return Array(shape(node.args[0]), "float", True)
    if not isinstance(node.func, ast.Attribute):
        raise Unknown("a function of the module")
    name, value = node.func.attr, node.func.value
    if isinstance(value, ast.Name) and value.id == "np":
        return _numpy(name, node.args, named, known)
    return _method(array_of(value, known), name, node.args, named)


def _numpy(
    name: str, args: Sequence[ast.expr], named: Mapping[str, ast.expr], known: Known
) -> Array:
    if isinstance(ufunc := getattr(np, name, None), np.ufunc) and len(args) == ufunc.nin:
        found = broadcast([array_of(a, known) for a in args])
        logical = "ff->?" in ufunc.types
        if logical or found.kind == "float" or name in ("abs", "minimum", "maximum"):
            return found.of("bool" if logical else found.kind)
    elif name == "where" and len(args) == 3:
        found = broadcast([array_of(a, known) for a in args])
        kinds = [array_of(a, known).kind for a in args[1:]]
        if "float" in kinds:
            return found.of("float")
    elif name in ("zeros", "empty", "full"):
        return Array(shape(args[0]), "float", True)
    elif name == "arange" and len(args) == 1:
        return Array((size(args[0]),), "int", True)
    elif name == "broadcast_to":
        return Array(shape(args[1]), array_of(args[0], known).kind)
    elif name == "tensordot":
        a, b = array_of(args[0], known), array_of(args[1], known)
        left, right = map(numbers, _pair(named["axes"]))
        rest = [s for k, s in enumerate(a.shape) if k not in left]
        return Array((*rest, *(s for k, s in enumerate(b.shape) if k not in right)), "float", True)
    elif name == "einsum":
        return _einsum(args, known)
    raise Unknown(f"np.{name}")


def _pair(node: ast.expr) -> Sequence[ast.expr]:
    if isinstance(node, ast.Tuple) and len(node.elts) == 2:
        return node.elts
    raise Unknown("axes that are no pair")


def _einsum(args: Sequence[ast.expr], known: Known) -> Array:
    if not isinstance(args[0], ast.Constant) or "->" not in str(args[0].value):
        raise Unknown("np.einsum")
    given, result = str(args[0].value).split("->")
    sizes: dict[str, Expr] = {}
    arrays = [array_of(a, known) for a in args[1:]]
    for letters, array in zip(given.split(","), arrays, strict=True):
        sizes |= zip(letters, array.shape, strict=True)
    kind = max((a.kind for a in arrays), key=RANK.__getitem__)
    return Array(tuple(sizes[letter] for letter in result), kind, len(arrays) > 1)


def _method(
    array: Array, name: str, args: Sequence[ast.expr], named: Mapping[str, ast.expr]
) -> Array:
    if name in ("sum", "max", "min", "prod"):
        kept = "keepdims" in named
        axes = numbers(named["axis"]) if "axis" in named else list(range(array.rank))
        found = [
            Integer(1) if k in axes else s
            for k, s in enumerate(array.shape)
            if kept or k not in axes
        ]
        kind = "int" if array.kind in ("bool", "int") else array.kind
        return Array(tuple(found), kind if name in ("sum", "prod") else array.kind, True)
    if name == "transpose" and args:
        order = [n for a in args for n in numbers(a)]
        return replace(array, shape=tuple(array.shape[k] for k in order), packed=False)
    if name == "swapaxes":
        first, second = (n for a in args for n in numbers(a))
        sizes = list(array.shape)
        sizes[first], sizes[second] = sizes[second], sizes[first]
        return replace(array, shape=tuple(sizes), packed=False)
    if name == "reshape":
        return replace(array, shape=tuple(map(size, args)))
    if name == "astype":
        return replace(array, kind="float", packed=True)
    if name == "copy":
        return replace(array, packed=True)
    raise Unknown(f"method {name}")
