"""Derivatives printed in the Matrix Cookbook (2012), by their numbers there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.linalg import matrix_power as power
from sympy import Sum, sqrt

from .rows import Row, affine, delta, e, i, j, k, p, q, r, symmetric


def squared_length(x: Any, A: Any, s: Any, W: Any) -> Any:
    """(x − As)' W (x − As)."""
    left, right = (x[row] - affine(A, s, row, p) for row in (i, j))
    return Sum(left * W[i, j] * right, i, j)


def mc79(X: Any, B: Any) -> Any:
    first = np.einsum("lj,ki->klij", delta(X.shape[1]), X.T @ B)
    return first + np.einsum("kj,il->klij", delta(X.shape[1]), B @ X)


def mc130(x: Any, a: Any) -> Any:
    v, length = x - a, np.sqrt(((x - a) ** 2).sum())
    return delta(len(x)) / length - np.outer(v, v) / length**3


# fmt: off
COOKBOOK = [
    Row("MC 69", {"x": "n", "a": "n"}, lambda x, a: Sum(x[i] * a[i], i), lambda x, a: x @ a,
        lambda x, a: a),
    Row("MC 70", {"X": "nm", "a": "n", "b": "m"}, lambda X, a, b: Sum(a[i] * X[i, p] * b[p], i, p),
        lambda X, a, b: a @ X @ b, lambda X, a, b: np.outer(a, b)),
    Row("MC 71", {"X": "nm", "a": "m", "b": "n"}, lambda X, a, b: Sum(a[p] * X[i, p] * b[i], i, p),
        lambda X, a, b: a @ X.T @ b, lambda X, a, b: np.outer(b, a)),
    Row("MC 72", {"X": "nn", "a": "n"}, lambda X, a: Sum(a[i] * X[i, j] * a[j], i, j),
        lambda X, a: a @ X @ a, lambda X, a: np.outer(a, a)),
    Row("MC 73", {"X": "nm"}, lambda X: X[k, q], lambda X: X,
        lambda X: np.einsum("ki,lj->klij", delta(len(X)), delta(X.shape[1])), over=(k, q)),
    Row("MC 74", {"X": "nm", "A": "mh"}, lambda X, A: Sum(X[k, p] * A[p, e], p), lambda X, A: X @ A,
        lambda X, A: np.einsum("ki,jl->klij", delta(len(X)), A), over=(k, e)),
    Row("MC 75", {"X": "nm", "A": "nh"}, lambda X, A: Sum(X[i, q] * A[i, e], i),
        lambda X, A: X.T @ A,
        lambda X, A: np.einsum("kj,il->klij", delta(X.shape[1]), A), over=(q, e)),
    Row("MC 77", {"X": "nm", "b": "m", "c": "m"},
        lambda X, b, c: Sum(b[p] * X[i, p] * X[i, q] * c[q], i, p, q),
        lambda X, b, c: b @ X.T @ X @ c, lambda X, b, c: X @ (np.outer(b, c) + np.outer(c, b))),
    Row("MC 79", {"X": "nm", "B": "nn"}, lambda X, B: Sum(X[i, p] * B[i, j] * X[j, q], i, j),
        lambda X, B: X.T @ B @ X, mc79, over=(p, q)),
    Row("MC 81", {"x": "n", "B": "nn"}, lambda x, B: Sum(x[i] * B[i, j] * x[j], i, j),
        lambda x, B: x @ B @ x, lambda x, B: (B + B.T) @ x),
    Row("MC 82", {"X": "nm", "D": "nn", "b": "m", "c": "m"},
        lambda X, D, b, c: Sum(b[p] * X[i, p] * D[i, j] * X[j, q] * c[q], i, j, p, q),
        lambda X, D, b, c: b @ X.T @ D @ X @ c,
        lambda X, D, b, c: np.outer(D.T @ X @ b, c) + np.outer(D @ X @ c, b)),
    Row("MC 83", {"X": "nm", "D": "nn", "b": "m", "c": "n"},
        lambda X, D, b, c: Sum((affine(X, b, i, p) + c[i]) * D[i, j] * (affine(X, b, j, p) + c[j]), i, j),
        lambda X, D, b, c: (X @ b + c) @ D @ (X @ b + c),
        lambda X, D, b, c: np.outer((D + D.T) @ (X @ b + c), b)),
    Row("MC 84", {"s": "m", "x": "n", "A": "nm", "W": "nn"},
        lambda s, x, A, W: squared_length(x, A, s, W),
        lambda s, x, A, W: (x - A @ s) @ W @ (x - A @ s),
        lambda s, x, A, W: -2 * A.T @ W @ (x - A @ s), draw={"W": symmetric}),
    Row("MC 85", {"x": "n", "s": "n", "W": "nn"},
        lambda x, s, W: Sum((x[i] - s[i]) * W[i, j] * (x[j] - s[j]), i, j),
        lambda x, s, W: (x - s) @ W @ (x - s), lambda x, s, W: 2 * W @ (x - s),
        draw={"W": symmetric}),
    Row("MC 88", {"A": "nm", "s": "m", "x": "n", "W": "nn"},
        lambda A, s, x, W: squared_length(x, A, s, W),
        lambda A, s, x, W: (x - A @ s) @ W @ (x - A @ s),
        lambda A, s, x, W: -2 * np.outer(W @ (x - A @ s), s), draw={"W": symmetric}),
    Row("MC 90", {"X": "nn"}, lambda X: Sum(X[k, i] * X[i, j] * X[j, r], i, j),
        lambda X: power(X, 3),
        lambda X: sum(np.einsum("ki,jl->klij", power(X, a), power(X, 2 - a)) for a in range(3)),
        over=(k, r)),
    Row("MC 91", {"X": "nn", "a": "n", "b": "n"},
        lambda X, a, b: Sum(a[i] * X[i, j] * X[j, k] * X[k, r] * b[r], i, j, k, r),
        lambda X, a, b: a @ power(X, 3) @ b,
        lambda X, a, b: sum(power(X, c).T @ np.outer(a, b) @ power(X, 2 - c).T for c in range(3))),
    Row("MC 96 grad", {"x": "n", "A": "nn", "b": "n"},
        lambda x, A, b: Sum(x[i] * A[i, j] * x[j], i, j) + Sum(b[i] * x[i], i),
        lambda x, A, b: x @ A @ x + b @ x, lambda x, A, b: (A + A.T) @ x + b),
    Row("MC 99", {"X": "nn"}, lambda X: Sum(X[i, i], i), lambda X: np.trace(X),
        lambda X: delta(len(X))),
    Row("MC 100", {"X": "nm", "A": "mn"}, lambda X, A: Sum(X[i, p] * A[p, i], i, p),
        lambda X, A: np.trace(X @ A), lambda X, A: A.T),
    Row("MC 101", {"X": "nm", "A": "hn", "B": "mh"},
        lambda X, A, B: Sum(A[e, i] * X[i, p] * B[p, e], e, i, p),
        lambda X, A, B: np.trace(A @ X @ B), lambda X, A, B: A.T @ B.T),
    Row("MC 102", {"X": "nm", "A": "hm", "B": "nh"},
        lambda X, A, B: Sum(A[e, p] * X[i, p] * B[i, e], e, i, p),
        lambda X, A, B: np.trace(A @ X.T @ B), lambda X, A, B: B @ A),
    Row("MC 103", {"X": "nm", "A": "nm"}, lambda X, A: Sum(X[i, p] * A[i, p], i, p),
        lambda X, A: np.trace(X.T @ A), lambda X, A: A),
    Row("MC 104", {"X": "nm", "A": "nm"}, lambda X, A: Sum(A[i, p] * X[i, p], p, i),
        lambda X, A: np.trace(A @ X.T), lambda X, A: A),
    Row("MC 105", {"X": "nn", "A": "mm"}, lambda X, A: Sum(A[p, p] * X[i, i], p, i),
        lambda X, A: np.trace(np.kron(A, X)), lambda X, A: np.trace(A) * delta(len(X))),
    Row("MC 107", {"X": "nn", "B": "nn"}, lambda X, B: Sum(X[i, j] * X[j, k] * B[k, i], i, j, k),
        lambda X, B: np.trace(X @ X @ B), lambda X, B: (X @ B + B @ X).T),
    Row("MC 108-110", {"X": "nm", "B": "nn"},
        lambda X, B: Sum(X[i, p] * B[i, j] * X[j, p], i, j, p),
        lambda X, B: np.trace(X.T @ B @ X), lambda X, B: B @ X + B.T @ X, form="X'BX"),
    Row("MC 108-110", {"X": "nm", "B": "nn"},
        lambda X, B: Sum(B[i, j] * X[j, p] * X[i, p], i, j, p),
        lambda X, B: np.trace(B @ X @ X.T), lambda X, B: B @ X + B.T @ X, form="BXX'"),
    Row("MC 108-110", {"X": "nm", "B": "nn"},
        lambda X, B: Sum(X[i, p] * X[j, p] * B[j, i], i, j, p),
        lambda X, B: np.trace(X @ X.T @ B), lambda X, B: B @ X + B.T @ X, form="XX'B"),
    Row("MC 111-113", {"X": "nm", "B": "mm"},
        lambda X, B: Sum(X[i, p] * B[p, q] * X[i, q], i, p, q),
        lambda X, B: np.trace(X @ B @ X.T), lambda X, B: X @ B.T + X @ B, form="XBX'"),
    Row("MC 111-113", {"X": "nm", "B": "mm"},
        lambda X, B: Sum(B[p, q] * X[i, q] * X[i, p], i, p, q),
        lambda X, B: np.trace(B @ X.T @ X), lambda X, B: X @ B.T + X @ B, form="BX'X"),
    Row("MC 111-113", {"X": "nm", "B": "mm"},
        lambda X, B: Sum(X[i, p] * X[i, q] * B[q, p], i, p, q),
        lambda X, B: np.trace(X.T @ X @ B), lambda X, B: X @ B.T + X @ B, form="X'XB"),
    Row("MC 114", {"X": "nm", "A": "mn", "B": "mn"},
        lambda X, A, B: Sum(A[p, i] * X[i, q] * B[q, j] * X[j, p], i, j, p, q),
        lambda X, A, B: np.trace(A @ X @ B @ X), lambda X, A, B: A.T @ X.T @ B.T + B.T @ X.T @ A.T),
    Row("MC 115", {"X": "nm"}, lambda X: Sum(X[i, p] * X[i, p], i, p), lambda X: np.trace(X.T @ X),
        lambda X: 2 * X),
    Row("MC 116", {"X": "nm", "B": "mh", "C": "nn"},
        lambda X, B, C: Sum(B[p, e] * X[i, p] * C[i, j] * X[j, q] * B[q, e], e, i, j, p, q),
        lambda X, B, C: np.trace(B.T @ X.T @ C @ X @ B), lambda X, B, C: (C.T + C) @ X @ B @ B.T),
    Row("MC 117", {"X": "nm", "B": "nn", "C": "mm"},
        lambda X, B, C: Sum(X[i, p] * B[i, j] * X[j, q] * C[q, p], i, j, p, q),
        lambda X, B, C: np.trace(X.T @ B @ X @ C), lambda X, B, C: B @ X @ C + B.T @ X @ C.T),
    Row("MC 118", {"X": "nm", "A": "hn", "B": "mm", "C": "nh"},
        lambda X, A, B, C: Sum(A[e, i] * X[i, p] * B[p, q] * X[j, q] * C[j, e], e, i, j, p, q),
        lambda X, A, B, C: np.trace(A @ X @ B @ X.T @ C),
        lambda X, A, B, C: A.T @ C.T @ X @ B.T + C @ A @ X @ B),
    Row("MC 119", {"X": "nm", "A": "hn", "B": "mn", "C": "hn"},
        lambda X, A, B, C: Sum((Sum(A[e, i] * X[i, p] * B[p, j], i, p) + C[e, j]) ** 2, e, j),
        lambda X, A, B, C: np.trace((A @ X @ B + C) @ (A @ X @ B + C).T),
        lambda X, A, B, C: 2 * A.T @ (A @ X @ B + C) @ B.T),
    Row("MC 120", {"X": "nn"}, lambda X: Sum(X[i, i] * X[j, j], i, j),
        lambda X: np.trace(np.kron(X, X)), lambda X: 2 * np.trace(X) * delta(len(X)),
        form="Tr(X kron X)"),
    Row("MC 120", {"X": "nn"}, lambda X: Sum(X[i, i], i) ** 2,
        lambda X: np.trace(X) ** 2, lambda X: 2 * np.trace(X) * delta(len(X)), form="Tr(X)^2"),
    Row("MC 121", {"X": "nn"}, lambda X: Sum(X[i, j] * X[j, k] * X[k, r] * X[r, i], i, j, k, r),
        lambda X: np.trace(power(X, 4)), lambda X: 4 * power(X, 3).T),
    Row("MC 122", {"X": "nn", "A": "nn"},
        lambda X, A: Sum(A[i, j] * X[j, k] * X[k, r] * X[r, i], i, j, k, r),
        lambda X, A: np.trace(A @ power(X, 3)),
        lambda X, A: sum((power(X, a) @ A @ power(X, 2 - a)).T for a in range(3))),
    Row("MC 130", {"x": "n", "a": "n"},
        lambda x, a: (x[i] - a[i]) / sqrt(Sum((x[j] - a[j]) ** 2, j)),
        lambda x, a: (x - a) / np.sqrt(((x - a) ** 2).sum()), mc130, over=(i,)),
    Row("MC 131", {"x": "n"}, lambda x: Sum(x[i] ** 2, i), lambda x: x @ x, lambda x: 2 * x,
        form="sum"),
    Row("MC 131", {"x": "n"}, lambda x: sqrt(Sum(x[i] ** 2, i)) ** 2, lambda x: x @ x,
        lambda x: 2 * x, form="norm"),
    Row("MC 132", {"X": "nm"}, lambda X: Sum(X[i, p] ** 2, i, p), lambda X: (X**2).sum(),
        lambda X: 2 * X),
]
# fmt: on
