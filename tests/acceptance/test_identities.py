"""Gradients and Jacobians that are printed in public sources, derived again from f alone.

The printed derivative is checked against central differences of f in NumPy, and what symbp derives
from f in index notation against both.
"""

from __future__ import annotations

import numpy as np
import pytest

from .cookbook import COOKBOOK
from .helpers import assert_close, central_difference, frozen, load, run, vjp
from .other_rows import DIFFMATIC, MATRIX_CALCULUS, NETWORKS
from .rows import Row

ROWS = COOKBOOK + NETWORKS + MATRIX_CALCULUS + DIFFMATIC

DETERMINANT = "a determinant: a sum over permutations, which no Σ over indices writes"
INVERSE = "a matrix inverse: defined by a linear system, not by an expression in the entries"
HESSIAN = "a Hessian: symbp differentiates once; the gradient in the same source is tested"
UNEXPRESSED = {
    **dict.fromkeys("MC 49, MC 51, MC 57, MC 58".split(", "), DETERMINANT),
    **dict.fromkeys("MC 62, MX 9".split(", "), f"{DETERMINANT}; {INVERSE}"),
    **dict.fromkeys(
        "MC 60, MC 61, MC 63, MC 64, MC 124, MC 125, MC 126, MC 127".split(", "), INVERSE
    ),
    **dict.fromkeys("MC 98 Hess, NN CE Hessian, DM 15 Hess, DM 16 Hess".split(", "), HESSIAN),
}

EVERY_ROW = """
MC 49, MC 51, MC 57, MC 58, MC 60, MC 61, MC 62, MC 63, MC 64, MC 69, MC 70, MC 71, MC 72,
MC 73, MC 74, MC 75, MC 77, MC 79, MC 81, MC 82, MC 83, MC 84, MC 85, MC 88, MC 90, MC 91,
MC 96 grad, MC 98 Hess, MC 99, MC 100, MC 101, MC 102, MC 103, MC 104, MC 105, MC 107,
MC 108-110, MC 111-113, MC 114, MC 115, MC 116, MC 117, MC 118, MC 119, MC 120, MC 121, MC 122,
MC 124, MC 125, MC 126, MC 127, MC 130, MC 131, MC 132, NN softmax, NN CE, NN CE Hessian,
NN logsumexp, NN softplus, NN layernorm VJP, NN gelu-tanh, NN rmsnorm VJP, MX 1, MX 2, MX 3,
MX 4, MX 4b, MX 6, MX 9, MX 10, DM 2, DM 5, DM 6, DM 7, DM 10, DM 11, DM 12 Jac, DM 13 Jac,
DM 14 Jac, DM 15 Hess, DM 16 Hess, DM 18 (dX)
"""


def name_of(row: Row) -> str:
    return f"{row.id}: {row.form}" if row.form else row.id


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_row(row: Row) -> None:
    rng = np.random.default_rng(0)
    arrays = row.arrays(rng)
    value, derivative = row.forward(**arrays), row.derivative(**arrays)
    numeric = {name: central_difference(row.forward, arrays, name) for name in arrays}
    assert_close(derivative, numeric[row.variable], 1e-7, what="the printed derivative")

    adjoint = rng.normal(size=np.shape(value)) if row.over else None
    if adjoint is not None:
        derivative = vjp(derivative, adjoint)
        numeric = {name: vjp(jacobian, adjoint) for name, jacobian in numeric.items()}
    module = load(row.build(), wrt=list(row.axes))
    got, grads = run(module, frozen(arrays), adjoint)
    assert_close(got, value, 1e-12, what="f")
    assert_close(grads[row.variable], derivative, 1e-12, what=f"the gradient in {row.variable}")
    for name in arrays:
        assert_close(grads[name], numeric[name], 1e-7, what=f"the gradient in {name}")

    single = np.float32(adjoint) if row.over else None
    got, grads = run(module, frozen(arrays, np.float32), single)
    assert {np.asarray(a).dtype.name for a in (got, *grads.values())} == {"float32"}
    assert_close(got, value, 1e-5, floor=1.0, what="f in float32")
    assert_close(grads[row.variable], derivative, 1e-5, floor=1.0, what="the float32 gradient")


def test_every_row_is_tested_or_listed_with_its_reason() -> None:
    every = {name.strip() for name in EVERY_ROW.replace("\n", " ").split(",")}
    tested = {row.id for row in ROWS}
    assert tested | set(UNEXPRESSED) == every
    assert not tested & set(UNEXPRESSED)
