"""Derivatives from networks (NN), matrixcalculus.org (MX) and DiffMatic.jl's tests (DM)."""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import Rational, Sum, exp, log, pi, sin, sqrt, tanh

from .rows import Row, affine, delta, i, j, k, n, p, positive, q, r

EPS = 1e-5


def softmax(z: Any) -> Any:
    return np.exp(z) / np.exp(z).sum()


def gelu_argument(x: Any) -> Any:
    return np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)


def gelu_gradient(x: Any) -> Any:
    t = np.tanh(gelu_argument(x))
    inner = np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)
    return 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * inner


def normalised(x: Any) -> tuple[Any, Any]:
    """(x̂, 1/σ) of a vector."""
    rstd = 1 / np.sqrt(x.var() + EPS)
    return (x - x.mean()) * rstd, rstd


def layernorm_gradient(x: Any, w: Any) -> Any:
    xhat, rstd = normalised(x)
    return rstd * (w - w.mean() - xhat * (w * xhat).mean())


def rms(x: Any) -> Any:
    return np.sqrt((x**2).mean() + EPS)


def layernorm(x: Any, w: Any) -> Any:
    mean = Sum(x[j], j) / n
    return Sum(w[i] * (x[i] - mean) / sqrt(Sum((x[k] - mean) ** 2, k) / n + EPS), i)


def dm14(x: Any, C: Any, A: Any, B: Any) -> Any:
    left, right = x @ C.T @ (A.T * B.T), x @ (A * B) @ C
    return (left @ x) * delta(len(x)) + np.outer(x, left) + np.outer(x, right)


# fmt: off
NETWORKS = [
    Row("NN softmax", {"z": "n"}, lambda z: exp(z[i]) / Sum(exp(z[k]), k), softmax,
        lambda z: np.diag(softmax(z)) - np.outer(softmax(z), softmax(z)), over=(i,)),
    Row("NN CE", {"z": "n", "t": "n"},
        lambda z, t: -Sum(t[i] * log(exp(z[i]) / Sum(exp(z[k]), k)), i),
        lambda z, t: -t @ np.log(softmax(z)), lambda z, t: softmax(z) * t.sum() - t),
    Row("NN logsumexp", {"z": "n"}, lambda z: log(Sum(exp(z[i]), i)),
        lambda z: np.log(np.exp(z).sum()), softmax),
    Row("NN softplus", {"z": "n"}, lambda z: log(1 + exp(z[i])), lambda z: np.log(1 + np.exp(z)),
        lambda z: np.diag(1 / (1 + np.exp(-z))), over=(i,)),
    Row("NN layernorm VJP", {"x": "n", "w": "n"}, layernorm,
        lambda x, w: w @ normalised(x)[0], layernorm_gradient),
    Row("NN gelu-tanh", {"x": "n"},
        lambda x: Sum(x[i] * (1 + tanh(sqrt(2 / pi) * (x[i] + 0.044715 * x[i] ** 3))) / 2, i),
        lambda x: (0.5 * x * (1 + np.tanh(gelu_argument(x)))).sum(), gelu_gradient),
    Row("NN rmsnorm VJP", {"x": "n", "w": "n"},
        lambda x, w: Sum(w[i] * x[i] / sqrt(Sum(x[j] ** 2, j) / n + EPS), i),
        lambda x, w: w @ x / rms(x), lambda x, w: (w - x * (w * x).mean() / rms(x) ** 2) / rms(x)),
]

MATRIX_CALCULUS = [
    Row("MX 1", {"x": "n", "A": "nn"},
        lambda x, A: Rational(1, 2) * Sum(x[i] * A[i, j] * x[j], i, j),
        lambda x, A: 0.5 * x @ A @ x, lambda x, A: 0.5 * (A + A.T) @ x),
    Row("MX 2", {"x": "n", "A": "mn"}, lambda x, A: Sum(A[p, i] * exp(x[i]), i),
        lambda x, A: A @ np.exp(x), lambda x, A: A @ np.diag(np.exp(x)), over=(p,)),
    Row("MX 3", {"x": "n", "y": "n", "v": "n"}, lambda x, y, v: Sum(y[i] * v[i] * x[i], i),
        lambda x, y, v: (y * v) @ x, lambda x, y, v: y * v),
    Row("MX 4", {"a": "", "b": ""}, lambda a, b: a**b, lambda a, b: a**b,
        lambda a, b: b * a ** (b - 1),
        draw={"a": positive}),
    Row("MX 4b", {"b": "", "a": ""}, lambda b, a: a**b, lambda b, a: a**b,
        lambda b, a: a**b * np.log(a),
        draw={"a": positive}),
    Row("MX 6", {"x": "n", "A": "mn", "y": "m"},
        lambda x, A, y: sqrt(Sum((affine(A, x, p, i) - y[p]) ** 2, p)) ** 2,
        lambda x, A, y: ((A @ x - y) ** 2).sum(), lambda x, A, y: 2 * A.T @ (A @ x - y)),
    Row("MX 10", {"x": "n", "y": "n"}, lambda x, y: Sum(sin(x[i]) * y[i], i),
        lambda x, y: np.sin(x) @ y, lambda x, y: y * np.cos(x)),
]

DIFFMATIC = [
    Row("DM 2", {"x": "n", "A": "nn", "B": "nn"},
        lambda x, A, B: Sum(x[i] * B[j, i] * A[j, k] * A[k, r] * x[r], i, j, k, r),
        lambda x, A, B: x @ B.T @ A @ A @ x, lambda x, A, B: A.T @ A.T @ B @ x + B.T @ A @ A @ x),
    Row("DM 5", {"x": "n"}, lambda x: Sum(x[i] ** 2, i) ** 2, lambda x: (x**2).sum() ** 2,
        lambda x: 4 * (x @ x) * x),
    Row("DM 6", {"x": "n"}, lambda x: Sum(log(x[i]) * x[i], i), lambda x: np.log(x) @ x,
        lambda x: 1 + np.log(x),
        draw={"x": positive}),
    Row("DM 7", {"x": "n"}, lambda x: Sum(log(x[i]) * log(x[i]), i),
        lambda x: np.log(x) @ np.log(x),
        lambda x: 2 * np.log(x) / x, draw={"x": positive}),
    Row("DM 10", {"x": "n", "A": "nn"}, lambda x, A: Sum(log(affine(A, x, i, j)) * x[i], i),
        lambda x, A: np.log(A @ x) @ x, lambda x, A: A.T @ (x / (A @ x)) + np.log(A @ x),
        draw={"x": positive, "A": positive}),
    Row("DM 11", {"x": "n", "A": "nn"}, lambda x, A: Sum(x[i] * sin(affine(A, x, i, j)), i),
        lambda x, A: x @ np.sin(A @ x), lambda x, A: A.T @ (np.cos(A @ x) * x) + np.sin(A @ x)),
    Row("DM 12 Jac", {"x": "n", "A": "mn", "B": "mm", "C": "mm"},
        lambda x, A, B, C: Sum(C[p, q] * B[p, q] * log(affine(A, x, q, i)), q),
        lambda x, A, B, C: (C * B) @ np.log(A @ x),
        lambda x, A, B, C: (C * B) @ np.diag(1 / (A @ x)) @ A,
        over=(p,), draw={"x": positive, "A": positive}, form="A.*B and A of their own shapes"),
    Row("DM 12 Jac", {"x": "n", "A": "nn", "B": "nn"},
        lambda x, A, B: Sum(A[i, j] * B[i, j] * log(affine(A, x, j, k)), j),
        lambda x, A, B: (A * B) @ np.log(A @ x), lambda x, A, B: (A * B) @ np.diag(1 / (A @ x)) @ A,
        over=(i,), draw={"x": positive, "A": positive}),
    Row("DM 13 Jac", {"x": "n", "A": "nn"}, lambda x, A: affine(A, x, i, j) * x[i],
        lambda x, A: np.diag(A @ x) @ x, lambda x, A: np.diag(A @ x) + np.diag(x) @ A, over=(i,)),
    Row("DM 14 Jac", {"x": "n", "C": "nn", "A": "nn", "B": "nn"},
        lambda x, C, A, B: Sum(x[i] * C[j, i] * A[r, j] * B[r, j] * x[r], i, j, r) * x[k],
        lambda x, C, A, B: (x @ C.T @ (A * B).T @ x) * x, dm14, over=(k,)),
    Row("DM 18 (dX)", {"X": "nm", "y": "n", "z": "m"},
        lambda X, y, z: Sum(-y[i] * Sum(X[i, p] * z[p], p), i),
        lambda X, y, z: -(y * (X @ z)).sum(), lambda X, y, z: -np.outer(y, z)),
]
# fmt: on
