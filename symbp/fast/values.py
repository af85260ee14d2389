"""Places that values are written to, operands that are read, and what a function has of both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from symbp.fast.arrays import Array
from symbp.shapes import size_code, tuple_code


@dataclass(frozen=True)
class Operand:
    """The text of an array, or of a view on one, and what is known of it."""

    text: str
    array: Array


@dataclass(frozen=True)
class Place(Operand):
    """Where a value is written; `owner` is the variable whose memory it is."""

    owner: str

    def viewed(self, suffix: str, array: Array) -> Place:
        """A view on the place."""
        return Place(self.text + suffix, array, self.owner)


@dataclass
class Values:
    """The arrays of one function, and its lines so far."""

    known: dict[str, Array]
    lines: list[str] = field(default_factory=list)
    temporary: dict[str, Array] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)  # name -> code, of sizes alone
    views: dict[str, set[str]] = field(default_factory=dict)  # variable -> those it may lie in

    def fresh(self, array: Array) -> Place:
        """An array for a part of an expression."""
        name = f"_part{len(self.temporary)}"
        array = Array(array.shape, array.kind, True)
        self.temporary[name] = self.known[name] = array
        return Place(name, array, name)

    def constant(self, name: str, code: str, array: Array) -> str:
        """An array that sizes alone determine, made once."""
        self.constants.setdefault(name, code)
        self.known[name] = array
        return name

    def roots(self, name: str) -> set[str]:
        """The arrays that a variable may lie in."""
        found, new = {name}, [name]
        while new:
            more = self.views.get(new.pop(), set()) - found
            found |= more
            new += more
        return found

    def meet(self, names: Iterable[str], place: Place) -> bool:
        """Whether some of these variables may share memory with the place."""
        own = self.roots(place.owner)
        return any(own & self.roots(name) for name in names)


def shape_code(array: Array) -> str:
    """The shape as it stands in a call."""
    return tuple_code(map(size_code, array.shape))
