"""Expressions as operations that write into arrays: `h1 = np.tanh(x @ W1 + b1)` becomes

    np.dot(x, W1, out=h1)
    h1 += b1
    np.tanh(h1, out=h1)

A part that needs an array of its own gets one. What is of a form that is not known here stays as it is: it is right,
and makes a fresh array.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from math import prod

import numpy as np

from symbp.fast import products, sums, windows
from symbp.fast.arrays import Array, Unknown, broadcast, numbers
from symbp.fast.reader import Reader, named_arguments, slots_of
from symbp.fast.source import names
from symbp.fast.values import Operand, Place, tidy, transposed
from symbp.shapes import size_code

OPERATORS: dict[type, tuple[str, str]] = {
    ast.Add: ("np.add", "+="),
    ast.Sub: ("np.subtract", "-="),
    ast.Mult: ("np.multiply", "*="),
    ast.Div: ("np.divide", "/="),
    ast.BitAnd: ("np.logical_and", "&="),
    ast.BitOr: ("np.logical_or", "|="),
}
RELATIONS: dict[type, str] = {
    ast.Gt: "np.greater",
    ast.GtE: "np.greater_equal",
    ast.Lt: "np.less",
    ast.LtE: "np.less_equal",
    ast.Eq: "np.equal",
    ast.NotEq: "np.not_equal",
}
COMMUTE = (ast.Add, ast.Mult, ast.BitAnd, ast.BitOr)


class Writer(Reader):
    """Writes expressions."""

    # Operands

    def operand(self, node: ast.expr) -> str:
        """The text of a node as an operand, once what has to be computed for it is."""
        array = self.array(node)
        if array.kind == "number" or self.is_view(node):
            return tidy(self.text.of(node))
        if array.kind == "int":
            return self.inside(node)
        if not array.rank:
            return self.inside(node)
        if isinstance(node, ast.Subscript) and not self.is_gather(node):
            return self.operand(node.value) + self.text.behind(node, node.value)
        if isinstance(node, ast.Attribute):
            return f"{self.operand(node.value)}.{node.attr}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "transpose":
                order = [n for a in node.args for n in numbers(a)]
                return transposed(self.operand(node.func.value), order)
            if node.func.attr in ("swapaxes", "reshape"):
                return self.operand(node.func.value) + self.text.behind(node, node.func.value)
        if "keepdims" in named_arguments(node):
            return self._kept(node, array)
        if found := self._product(node):
            return found
        place = self.fresh(array)
        self.into(node, place)
        return place.text

    def _replace(self, node: ast.AST) -> None:
        if isinstance(node, ast.expr):
            try:
                array = self.array(node)
            except Unknown:
                array = None
            if array and (array.rank or isinstance(node, ast.Call)) and not self.is_view(node):
                if array.kind in ("float", "bool"):
                    self.text.replaced[node] = self.operand(node)
                return
            if array and self.is_view(node):
                return
        for child in ast.iter_child_nodes(node):
            self._replace(child)

    # Values

    def into(self, node: ast.expr, place: Place) -> None:
        """Write the value of a node to a place of its shape."""
        match node:
            case _ if self.is_view(node):
                self.lines.append(f"np.copyto({place.text}, {self.text.of(node)})")
            case ast.BinOp(left=left, op=ast.MatMult(), right=right):
                products.matmul(self.read(left), self.read(right), place, self)
            case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=int(n))) if n > 1:
                self._power(left, n, place)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                self._binary(left, op, right, place)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                self._entrywise("np.negative", [operand], place)
            case ast.UnaryOp(op=ast.Invert(), operand=operand):
                self._entrywise("np.logical_not", [operand], place)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                self._entrywise(RELATIONS[type(op)], [left, right], place)
            case ast.Subscript() if not self.is_gather(node):
                self.copy(node, place)
            case ast.Attribute(value=value, attr="T"):
                order = list(range(place.array.rank))[::-1]
                self._turned(value, order, node, place)
            case ast.Call():
                self._call(node, place)
            case _:
                self.copy(node, place)

    def copy(self, node: ast.expr, place: Place) -> None:
        """The value as it is computed in an array of its own."""
        if isinstance(node, ast.Subscript) and self.is_gather(node):
            if not self._take(node, place):
                self.lines.append(f"np.copyto({place.text}, {self.inside(node)})")
            return
        seen = self.is_view(node) or isinstance(node, (ast.Subscript, ast.Attribute))
        text = self.operand(node) if seen else self.inside(node)
        self.lines.append(f"np.copyto({place.text}, {text})")

    def inside(self, node: ast.expr) -> str:
        """The code as it is, on arrays that are computed before."""
        if found := self._dot(node):
            return found
        for child in ast.iter_child_nodes(node):
            self._replace(child)
        return self.text.of(node)

    def _take(self, node: ast.Subscript, place: Place, front: bool = False) -> bool:
        """The places of an integer array on one axis of a tensor; at the `front`, as the first axes of the result."""
        *before, rows = slots_of(node)
        if not (isinstance(rows, ast.Name) and place.array.packed and not self.is_gathered(before)):
            return False
        tensor, axis = self.read(node.value), len(before)
        text = tensor.text
        if front and axis:
            others = [k for k in range(tensor.array.rank) if k != axis]
            text, axis = transposed(text, [axis, *others]), 0
        places = self.text.of(rows)
        self.lines.append(f'np.take({text}, {places}, axis={axis}, out={place.text}, mode="clip")')
        return True

    def _turned(self, value: ast.expr, order: Sequence[int], node: ast.expr, place: Place) -> None:
        """The value transposed: written to a view on the place that is turned back."""
        if isinstance(value, ast.Subscript) and self.is_gather(value):
            if self.to_front(value, order) and self._take(value, place, front=True):
                return
        back = [order.index(k) for k in range(len(order))]
        array = Array(tuple(place.array.shape[k] for k in back), place.array.kind)
        self.into(value, Place(transposed(place.text, back), array, place.owner))

    def _binary(self, left: ast.expr, op: ast.operator, right: ast.expr, place: Place) -> None:
        """One operand is computed in the place itself where it can be, and the other combined with it."""
        call, _ = OPERATORS[type(op)]
        if self.fits(left, place) and not self.reads([right], place):
            self.into(left, place)
            self.combine(place.text, type(op), self.operand(right))
        elif self.fits(right, place) and not self.reads([left], place):
            self.into(right, place)
            other = self.operand(left)
            if isinstance(op, COMMUTE):
                self.combine(place.text, type(op), other)
            else:
                self.lines.append(f"{call}({other}, {place.text}, out={place.text})")
        else:
            self._entrywise(call, [left, right], place)

    def combine(self, target: str, operator: type, value: str) -> None:
        """target op= value; of a view by name of the function: Python would also assign the view to itself."""
        function, augmented = OPERATORS[operator]
        if target.isidentifier():
            self.lines.append(f"{target} {augmented} {value}")
        else:
            self.lines.append(f"{function}({target}, {value}, out={target})")

    def _entrywise(self, function: str, args: Sequence[ast.expr], place: Place) -> None:
        """function(args), the first argument that has to be computed in the place itself."""
        texts: list[str] = []
        for k, node in enumerate(args):
            if self.fits(node, place) and not self.reads([*args[:k], *args[k + 1 :]], place):
                if place.text not in texts:
                    self.into(node, place)
                    texts.append(place.text)
                    continue
            texts.append(self.operand(node))
        arrays = [place.array if t == place.text else self.array(n) for t, n in zip(texts, args)]
        operands = [Operand(t, a) for t, a in zip(texts, arrays)]
        if not windows.by_slices(function, operands, place, self):
            self.lines.append(f"{function}({', '.join(texts)}, out={place.text})")

    def _power(self, node: ast.expr, exponent: int, place: Place) -> None:
        """x**n by squares and products: NumPy's power is some hundred times slower."""
        bits = bin(exponent)[3:]
        if "1" in bits and self.reads([node], place):
            kept = self.fresh(place.array)
            self._power(node, exponent, kept)
            self.lines.append(f"np.copyto({place.text}, {kept.text})")
            return
        if self.fits(node, place) and "1" not in bits:
            self.into(node, place)
            value = place.text
        else:
            value = self.operand(node)
        self.lines.append(f"np.square({value}, out={place.text})")
        for k, bit in enumerate(bits):
            if k:
                self.lines.append(f"np.square({place.text}, out={place.text})")
            if bit == "1":
                self.combine(place.text, ast.Mult, value)

    def _reduction(self, name: str, value: ast.expr, node: ast.Call, place: Place) -> None:
        """A reduction along axes; with `keepdims`, into the same place without these."""
        rank, named = self.array(value).rank, named_arguments(node)
        axes = numbers(named["axis"]) if "axis" in named else list(range(rank))
        if "keepdims" in named:
            left = [s for k, s in enumerate(place.array.shape) if k not in axes]
            slots = ["0" if k in axes else ":" for k in range(rank)]
            found = Array(tuple(left), place.array.kind, place.array.packed)
            place = place.viewed(f"[{', '.join(slots)}]", found)
        if name == "sum" and axes == [rank - 1] and (pair := self._factors(value)):
            sums.rows(*pair, place, self)
        else:
            sums.reduce(name, self.read(value), axes, place, self)

    def _factors(self, node: ast.expr) -> tuple[Operand, Operand] | None:
        """The factors of a product of two arrays of its own shape; of a square, twice its base."""
        match node:
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                pair = [left, right]
            case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=2)):
                pair = [left, left]
            case _:
                return None
        whole = Array(self.array(node).shape, "float", True)
        if any(self.array(n) != whole for n in pair):
            return None
        first = self.read(left)
        return first, first if pair[1] is left else self.read(pair[1])

    def _dot(self, node: ast.expr) -> str | None:
        """The sum of all entries of a product, as one product of all entries with all."""
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr="sum"), args=[], keywords=[]):
                pair = self._factors(value)
                return f"np.vdot({pair[0].text}, {pair[1].text})" if pair else None
        return None

    def _kept(self, node: ast.expr, array: Array) -> str:
        """A reduction that keeps its axes, as one that does not, seen with them."""
        assert isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        axes = numbers(named_arguments(node)["axis"])
        left = tuple(s for k, s in enumerate(array.shape) if k not in axes)
        place = self.fresh(Array(left, array.kind))
        slots = ["None" if k in axes else ":" for k in range(array.rank)]
        name, value = node.func.attr, node.func.value
        if name == "sum" and axes == [array.rank - 1] and (pair := self._factors(value)):
            sums.rows(*pair, place, self)
        else:
            sums.reduce(name, self.read(value), axes, place, self)
        return f"{place.text}[{', '.join(slots)}]"

    def read(self, node: ast.expr) -> Operand:
        """A node as an operand, and what is known of it."""
        array = self.array(node)
        return Operand(self.operand(node), array)

    def _call(self, node: ast.Call, place: Place) -> None:
        if not isinstance(node.func, ast.Attribute):
            self._scatter(node, place)
            return
        name, value = node.func.attr, node.func.value
        if not (isinstance(value, ast.Name) and value.id == "np"):
            self._method(node, name, value, place)
        elif isinstance(ufunc := getattr(np, name, None), np.ufunc) and ufunc.nin == len(node.args):
            self._entrywise(f"np.{name}", node.args, place)
        elif name == "where":
            self._where(node, place)
        elif name == "tensordot":
            products.tensordot(*self._pair(node), place, self)
        elif name == "einsum" and self.array(node).packed:
            texts = [self.text.of(node.args[0]), *map(self.operand, node.args[1:])]
            self.lines.append(f"np.einsum({', '.join(texts)}, out={place.text})")
        elif name in ("zeros", "full", "empty"):
            value_ = {"zeros": "0", "empty": ""}.get(name) or self.text.of(node.args[-1])
            if name != "empty":
                self.lines.append(f"{place.text}.fill({value_})")
        else:
            self.copy(node, place)

    def _pair(self, node: ast.Call) -> tuple[Operand, Operand, products.Axes]:
        """The operands of np.tensordot, and the axes that are summed."""
        return self.read(node.args[0]), self.read(node.args[1]), _axes(node)

    def _product(self, node: ast.expr) -> str | None:
        """A sum of products that is best computed with its axes in another order."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return None
        if node.func.attr != "tensordot" or not products.turns(
            self.array(node.args[0]), self.array(node.args[1]), _axes(node)
        ):
            return None
        return products.turned(*self._pair(node), self).text

    def hoist(self, node: ast.expr, variables: set[str]) -> None:
        """A product with what stands at the places of a loop, for all places; read at each from then on."""
        for call in (n for n in ast.walk(node) if isinstance(n, ast.Call) and len(n.args) == 2):
            a, b = call.args
            if self.text.of(call.func) != "np.tensordot" or not isinstance(b, ast.Subscript):
                continue
            slots = [self.text.of(s) if isinstance(s, ast.Name) else None for s in slots_of(b)]
            whole = self.array(b.value)
            if (
                names(a) & variables
                or {s for s in slots if s} != variables
                or whole.rank != len(slots)
            ):
                continue
            left, right = _axes(call)
            sliced = [k for k, s in enumerate(slots) if s is None]
            axes = (left, [sliced[k] for k in right])
            b_ = Operand(self.text.of(b.value), whole)
            self.text.replaced[call] = products.offsets(self.read(a), b_, axes, slots, self)

    def _scatter(self, node: ast.Call, place: Place) -> None:
        """Rows that are added at places, by the module's own function."""
        if self.text.of(node.func) != "_scatter_add" or not place.array.packed:
            self.copy(node, place)
            return
        shape, places, rows = node.args
        assert isinstance(places, ast.Tuple)
        count = prod(broadcast([self.array(p) for p in places.elts]).shape)
        length = prod(place.array.shape[: len(places.elts)])
        found = Array((length, count), "float", True)
        code = f"_onehot({size_code(length)}, {size_code(count)}, dtype)"
        same = [n for n, c in self.constants.items() if c == code]
        room = same[0] if same else self.constant(f"onehot{len(self.constants)}", code, found)
        texts = [place.text, *(self.text.of(n) for n in (shape, places)), self.operand(rows), room]
        self.lines.append(f"_scatter_into({', '.join(texts)})")

    def _where(self, node: ast.Call, place: Place) -> None:
        """Entries outside a mask of sizes are −∞: that is added, from an array made once."""
        mask, value, otherwise = node.args
        infinite = self.text.of(otherwise) == "-np.inf"
        if infinite and isinstance(mask, ast.Name) and mask.id in self.constants:
            self.into(value, place) if self.fits(value, place) else self.copy(value, place)
            name = self.constant(
                f"outside_{mask.id}",
                f"np.where({mask.id}, 0, -np.inf).astype(dtype)",
                self.array(mask).of("float"),
            )
            self.combine(place.text, ast.Add, name)
        else:
            self.copy(node, place)

    def _method(self, node: ast.Call, name: str, value: ast.expr, place: Place) -> None:
        if name in ("sum", "max", "min", "prod"):
            self._reduction(name, value, node, place)
        elif name == "transpose":
            order = [n for a in node.args for n in numbers(a)]
            self._turned(value, order, node, place)
        elif name == "swapaxes":
            order = list(range(place.array.rank))
            first, second = (n for a in node.args for n in numbers(a))
            order[first], order[second] = order[second], order[first]
            self._turned(value, order, node, place)
        elif name == "astype":
            self.into(value, place)
        elif name == "copy" and self.array(value).shape == place.array.shape:
            self.into(value, place)
        elif name == "copy" and isinstance(value, ast.Call):  # np.broadcast_to(x, shape).copy()
            self.lines.append(f"np.copyto({place.text}, {self.operand(value.args[0])})")
        elif name == "reshape" and place.array.packed and self.array(value).packed:
            whole = self.array(value)
            sizes = ", ".join(map(size_code, whole.shape))
            self.into(value, place.viewed(f".reshape({sizes})", whole))
        else:
            self.copy(node, place)


def _axes(node: ast.Call) -> products.Axes:
    """The axes that np.tensordot sums over."""
    pair = node.keywords[0].value
    assert isinstance(pair, ast.Tuple)
    left, right = map(numbers, pair.elts)
    return left, right
