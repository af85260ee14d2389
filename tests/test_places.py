"""Fixed places on axes: those that the sizes decide are checked when the emitted module is entered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from sympy import Expr, Integer, KroneckerDelta, Sum, ceiling, floor

from symbp import Network, derive, indices, sizes
from symbp.validate import provably_inside
from tests.acceptance.helpers import assert_close, central_difference, load, run

n, d, h, k = sizes("n d h k")
s, j, a, i = indices("s", n), indices("j", d), indices("a", h), indices("i", k)

Arrays = Mapping[str, np.ndarray]


def corner() -> Network:
    net = Network("corner")
    W = net.param("W", a, j)
    net.output(net.define("y", (), W[1, d - 2] * Sum(W[a, j] ** 2, a, j)))
    net.loss(W[1, d - 2] ** 2 * W[0, 0])
    return net


def seventh() -> Network:
    net = Network("seventh")
    x, w = net.input("x", s), net.param("w")
    net.loss((w * x[7] - 1) ** 2)
    return net


def of_a_defined_tensor() -> Network:
    net = Network("defined")
    x, w = net.input("x", s, j), net.param("w", j)
    u = net.define("u", s, Sum(x[s, j] * w[j], j))
    net.output(net.define("y", s, u[s] * u[3] + u[n - 2]))
    net.loss(Sum(u[s] ** 2, s) * u[n - 2])
    return net


def at_floors() -> Network:
    net = Network("floors")
    z = net.param("z", i)
    net.loss(z[2 * floor(k / 3)] * z[ceiling(k / 2)] * z[k - 1])
    return net


def over_floors() -> Network:
    """Sizes that are no plain symbol, where the code builds an axis or counts one."""
    net = Network("halves")
    z, p, q = net.param("z", i), indices("p", floor(k / 2)), indices("q", ceiling(k / 2))
    y = net.define("y", (p, q), z[0] ** 2)
    net.loss(Sum(y[p, q] ** 2, p, q) + Sum(z[k - 1], p) * Sum(z[0], q))
    return net


def normal(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


# What is checked


@pytest.mark.parametrize(
    ("place", "size", "inside"),
    [
        (Integer(0), k, True),
        (k - 1, k, True),
        (k - 1, 2 * k, True),
        (Integer(1), k, False),
        (k - 2, k, False),
        (n - 1, k, False),
        (Integer(0), k - 1, False),
        (Integer(3), Integer(4), True),
    ],
)
def test_provably_inside(place: Expr, size: Expr, inside: bool) -> None:
    assert provably_inside(place, size) is inside


@pytest.mark.parametrize(
    ("build", "checks"),
    [
        (corner, ['"W[1]", 0, 1, h', '"W[:, d - 2]", 1, d - 2, d']),
        (seventh, ['"x[7]", 0, 7, n']),
        (of_a_defined_tensor, ['"u[n - 2]", 0, n - 2, n']),
    ],
)
def test_forward_checks_each_place_once(build: Callable[[], Network], checks: list[str]) -> None:
    source = derive(build()).source
    forward = source[source.index("def forward") : source.index("def backward")]
    assert forward.count("_check_place(") == len(checks)
    for check in checks:
        assert f"    _check_place({check})\n" in forward


def test_what_is_provably_inside_is_not_checked() -> None:
    net = Network("ends")
    z = net.param("z", i)
    net.loss(z[0] * z[k - 1])
    assert "_check_place" not in derive(net).source


def test_predict_checks_its_own_places() -> None:
    module = load(of_a_defined_tensor())
    arrays = normal(x=(3, 2), w=(2,))
    run(module, arrays)  # the loss does not read u[3]
    with pytest.raises(ValueError, match=r"^u\[3\]: place 3 is outside axis 0, which has size 3$"):
        module.predict({"w": arrays["w"]}, arrays["x"])


# What it refuses


@pytest.mark.parametrize(
    ("build", "arrays", "message"),
    [
        (corner, normal(W=(2, 1)), "W[:, d - 2]: place -1 is outside axis 1, which has size 1"),
        (corner, normal(W=(1, 2)), "W[1]: place 1 is outside axis 0, which has size 1"),
        (seventh, normal(w=(), x=(3,)), "x[7]: place 7 is outside axis 0, which has size 3"),
        (seventh, normal(w=(), x=(7,)), "x[7]: place 7 is outside axis 0, which has size 7"),
        (at_floors, normal(z=(1,)), "z[-(-k // 2)]: place 1 is outside axis 0, which has size 1"),
    ],
)
def test_a_place_outside_is_named(
    build: Callable[[], Network], arrays: Arrays, message: str
) -> None:
    with pytest.raises(ValueError) as caught:
        run(load(build()), arrays)
    assert str(caught.value) == message


# What it computes: at the least sizes, where places coincide, and at larger ones


@pytest.mark.parametrize(
    ("build", "arrays"),
    [
        (corner, normal(W=(2, 2))),
        (corner, normal(W=(3, 5))),
        (seventh, normal(w=(), x=(8,))),
        (seventh, normal(w=(), x=(11,))),
        (of_a_defined_tensor, normal(w=(2,), x=(2, 2))),
        (of_a_defined_tensor, normal(w=(3,), x=(6, 3))),
        (at_floors, normal(z=(2,))),
        (at_floors, normal(z=(3,))),
        (at_floors, normal(z=(8,))),
        (over_floors, normal(z=(5,))),
    ],
)
def test_gradients_agree_with_differences(build: Callable[[], Network], arrays: Arrays) -> None:
    module = load(build())
    _, grads = run(module, arrays)
    for name, grad in grads.items():
        slope = central_difference(lambda **moved: run(module, moved)[0], arrays, name)
        assert_close(grad, slope, 1e-8, 1.0, name)


def test_values() -> None:
    arrays = normal(W=(2, 3))
    assert run(load(corner()), arrays)[0] == pytest.approx(
        arrays["W"][1, 1] ** 2 * arrays["W"][0, 0]
    )
    assert run(load(seventh()), {"w": np.array(2.0), "x": np.arange(8.0)})[0] == (14 - 1) ** 2


@pytest.mark.parametrize("build", [corner, seventh, of_a_defined_tensor, at_floors, over_floors])
def test_verification_finds_sizes_that_fit(build: Callable[[], Network]) -> None:
    assert derive(build()).verify().ok


# δ at a place: 0 where the place is outside, so no check; a product of two is 0 where they differ


def summed(net: Network) -> Any:
    return net.param("b") * Sum(KroneckerDelta(i, 2), i)


def picked(net: Network) -> Any:
    z = net.param("z", i)
    return Sum(KroneckerDelta(i, 2) * z[i] ** 2, i)


def both(net: Network) -> Any:
    z = net.param("z", i)
    y = net.define("y", i, KroneckerDelta(i, 0) * KroneckerDelta(i, k - 1) * z[i])
    return Sum(y[i] ** 2, i)


def first_of_last(net: Network) -> Any:
    z = net.param("z", i)
    y = net.define("y", i, KroneckerDelta(i, k - 1) * z[i])
    return y[0]


def first_and_last_of_a_diagonal(net: Network) -> Any:
    c = indices("c", k)
    D = net.define("D", (i, c), KroneckerDelta(i, c) * net.param("z", i)[i])
    return D[0, k - 1]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize(
    ("loss", "value"),
    [
        (summed, lambda b, k: b * (k > 2)),
        (picked, lambda z, k: z[2] ** 2 if k > 2 else 0.0),
        (both, lambda z, k: z[0] ** 2 if k == 1 else 0.0),
        (first_of_last, lambda z, k: z[0] if k == 1 else 0.0),
        (first_and_last_of_a_diagonal, lambda z, k: z[0] if k == 1 else 0.0),
    ],
)
def test_deltas_at_places(
    loss: Callable[[Network], Any], value: Callable[[Any, int], float], size: int
) -> None:
    net = Network("delta")
    net.loss(loss(net))
    module = load(net)
    arrays = normal(b=()) if loss is summed else normal(z=(size,))
    given = {"k": size} if loss is summed else {}
    (name,) = arrays
    assert run(module, arrays, **given)[0] == pytest.approx(value(arrays[name], size))
    slope = central_difference(lambda **moved: value(moved[name], size), arrays, name)
    assert_close(run(module, arrays, **given)[1][name], slope, 1e-8, 1.0)
