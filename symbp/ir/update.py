"""One step of training: its equations, and ready to be printed what `stepping` hands to a target."""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Expr

from symbp.ir.network import Declaration
from symbp.ir.program import Program
from symbp.ir.schedule import Assign


@dataclass(frozen=True)
class UpdateProgram:
    """The equations of an update, and what its optimisers are: for the derivation."""

    program: Program
    texts: tuple[str, ...]


@dataclass(frozen=True)
class State:
    """What is kept from one step to the next: an array for each parameter, or one number."""

    name: str
    initial: Expr
    entrywise: bool


@dataclass(frozen=True)
class Stepping:
    """Statements of one step. A state that a statement assigns to is written to in place, and so are parameters, `w`.

    Entries have one index, over the entries of a parameter, or none: those are numbers.
    """

    constants: tuple[Declaration, ...]
    states: tuple[State, ...]
    numbers: tuple[Assign, ...]  # once, for all parameters together
    entries: tuple[Assign, ...]  # for each parameter
    kept: tuple[tuple[str, str], ...]  # (state that is a number, the variable of its new value)
    counter: str | None  # the variable of the steps made so far, where anything reads it
    total: str | None  # the variable of the number of entries, where anything reads it
