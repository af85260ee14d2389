"""Sizes solved from shapes: the statements run, give the sizes, and name the axis where a shape is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Expr, Integer, Symbol, ceiling, floor, sympify

from symbp.errors import CompilerError
from symbp.shapes import Plan, plan_sizes, size_code

n, m, k, p = (Symbol(s, integer=True, positive=True) for s in "nmkp")
ORDER = ["n", "m", "k", "p"]


class Solver:
    """What the emitted module has under the name `_solve`, without its message."""

    def __call__(
        self, arrays: Any, size: str, numerator: int, denominator: int, *axes: tuple[str, int]
    ) -> int:
        if denominator and numerator % denominator == 0 <= numerator // denominator:
            return numerator // denominator
        raise ValueError(f"{axes}: no {size}")


def run(plan: Plan, shapes: dict[str, tuple[int, ...]], **given: int) -> dict[str, Any]:
    """The names after a plan's statements and checks; ValueError where one fails."""
    names: dict[str, Any] = {name: np.empty(shape) for name, shape in shapes.items()}
    names |= given | {"_solve": Solver(), "arrays": None}
    for statement in plan.statements:
        exec(statement, names)
    for tensor, shape in plan.checks:
        if eval(shape, names) != shapes[tensor]:
            raise ValueError(tensor)
    return names


def plan(shapes: dict[str, tuple[Expr | int, ...]], *needed: str) -> Plan:
    return plan_sizes({t: tuple(map(sympify, s)) for t, s in shapes.items()}, needed, ORDER)


def test_direct_sizes_are_read_and_the_rest_is_checked() -> None:
    found = plan({"W": (n, m), "b": (n,), "x": (k, m)}, "k")
    assert found.statements == ("n, m = W.shape", "k = x.shape[0]")
    assert found.checks == (("b", "(n,)"), ("x", "(k, m)"))
    assert found.open == () and not found.solves


def test_a_size_that_nothing_uses_is_not_read() -> None:
    assert plan({"x": (n, m)}, "m").statements == ("m = x.shape[1]",)
    assert plan({"x": (n,)}).statements == ()


def test_a_repeated_size_is_checked() -> None:
    found = plan({"A": (n, n)})
    assert (found.statements, found.checks) == (("n = A.shape[0]",), (("A", "(n, n)"),))


def test_a_number_is_checked() -> None:
    assert plan({"x": (n, 3)}).checks == (("x", "(n, 3)"),)


def test_a_linear_axis_is_solved_with_its_fraction_refused() -> None:
    found = plan({"x": (2 * m + 1,)}, "m")
    assert found.statements == ('m = _solve(arrays, "m", x.shape[0] - 1, 2, ("x", 0))',)
    assert run(found, {"x": (7,)})["m"] == 3
    with pytest.raises(ValueError, match="no m"):
        run(found, {"x": (6,)})
    with pytest.raises(ValueError, match="no m"):
        run(plan({"x": (m + 4,)}, "m"), {"x": (3,)})


def test_an_unused_solution_is_still_checked() -> None:
    found = plan({"x": (2 * m,)})
    assert found.statements == ('_solve(arrays, "m", x.shape[0], 2, ("x", 0))',)
    with pytest.raises(ValueError, match="no m"):
        run(found, {"x": (3,)})


def test_coefficients_may_be_known_sizes() -> None:
    found = plan({"x": (n,), "z": (n * m + n,)}, "m")
    assert run(found, {"x": (3,), "z": (15,)})["m"] == 4
    with pytest.raises(ValueError, match="no m"):
        run(found, {"x": (3,), "z": (16,)})
    with pytest.raises(ValueError, match="no m"):
        run(found, {"x": (0,), "z": (0,)})


def test_equations_are_solved_together() -> None:
    found = plan({"x": (n + m,), "y": (n - m, n + 2 * m + k)}, "n", "m", "k")
    assert found.open == () and found.checks == ()
    names = run(found, {"x": (9,), "y": (3, 20)})
    assert (names["n"], names["m"], names["k"]) == (6, 3, 8)
    with pytest.raises(ValueError, match="'x', 0"):
        run(found, {"x": (9,), "y": (4, 20)})


def test_redundant_equations_are_checked() -> None:
    found = plan({"x": (n + m,), "y": (2 * n + 2 * m,), "z": (n - m,)}, "n", "m")
    assert found.checks == (("y", "(2 * m + 2 * n,)"),)
    assert run(found, {"x": (5,), "y": (10,), "z": (1,)})["n"] == 3
    with pytest.raises(ValueError, match="y"):
        run(found, {"x": (5,), "y": (11,), "z": (1,)})


def test_what_stays_open_becomes_an_argument() -> None:
    found = plan({"x": (n + m,), "y": (k,)}, "k", "p")
    assert found.open == ("n", "m", "p")
    run(found, {"x": (5,), "y": (2,)}, n=2, m=3, p=1)
    with pytest.raises(ValueError, match="x"):
        run(found, {"x": (5,), "y": (2,)}, n=2, m=2, p=1)


def test_floor_does_not_determine_but_is_checked() -> None:
    assert plan({"x": (floor(n / 2),)}).open == ("n",)
    found = plan({"x": (n,), "y": (floor(n / 2) + 1,)})
    assert found.checks == (("y", "(n // 2 + 1,)"),)
    run(found, {"x": (5,), "y": (3,)})


@pytest.mark.parametrize(
    ("size", "code"),
    [
        (n + 1, "n + 1"),
        (n - 1, "n - 1"),
        (1 - n + m, "m + 1 - n"),
        (2 * n * (m + 1), "2 * n * (m + 1)"),
        (n**2 * m, "m * n**2"),
        ((n + 1) ** 2, "(n + 1) ** 2"),
        (floor(n / 2) * 2, "2 * (n // 2)"),
        (floor((n - 3) / (2 * m)) + 1, "(n - 3) // (2 * m) + 1"),
        (ceiling(n / 2), "-(-n // 2)"),
        (ceiling((n + 1) / 2) - 1, "-((-n - 1) // 2) - 1"),
        (n * (n + 1) / 2, "n * (n + 1) // 2"),
        (Integer(3), "3"),
    ],
)
def test_size_code(size: Expr, code: str) -> None:
    assert size_code(size) == code
    for a in range(3, 8):
        for b in range(1, 4):
            assert eval(size_code(size), {"n": a, "m": b}) == size.subs({n: a, m: b})


def test_an_unknown_node_is_loud() -> None:
    with pytest.raises(CompilerError, match="no code for"):
        size_code(n % 2)


coefficient = st.integers(-2, 3)


@st.composite
def systems(draw: Any) -> tuple[dict[str, tuple[Expr, ...]], dict[Symbol, int]]:
    """Tensors with affine axes, and sizes for which every axis is positive."""
    values = {s: draw(st.integers(1, 9)) for s in (n, m, k, p)}
    shapes: dict[str, tuple[Expr, ...]] = {}
    for i in range(draw(st.integers(1, 5))):
        size = sum((draw(coefficient) * s for s in (n, m, k, p)), Integer(draw(st.integers(0, 4))))
        if size.subs(values) > 0:
            shapes[f"x{i}"] = (size,)
    return shapes, values


@settings(max_examples=60, deadline=None)
@given(systems())
def test_affine_systems(case: tuple[dict[str, tuple[Expr, ...]], dict[Symbol, int]]) -> None:
    """The right shapes pass and give the sizes; another size of an array is refused or has a solution of its own."""
    shapes, values = case
    needed = sorted(
        {s for shape in shapes.values() for size in shape for s in size.free_symbols}, key=str
    )
    found = plan_sizes(shapes, [s.name for s in needed], ORDER)
    right = {t: (int(size.subs(values)),) for t, (size,) in shapes.items()}
    opened = {s.name: values[s] for s in needed if s.name in found.open}
    names = run(found, right, **opened)
    assert {s: names[s.name] for s in needed} == {s: values[s] for s in needed}
    for tensor, (size,) in right.items():
        wrong = right | {tensor: (size + 1,)}
        try:
            names = run(found, wrong, **opened)
        except ValueError:
            continue
        assert all(
            shapes[t][0].subs({s: names[s.name] for s in needed}) == wrong[t][0] for t in wrong
        )
