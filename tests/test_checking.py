"""Every step of a derivation is checked by number: a wrong rule stops it, by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sympy import Eq, Expr, Integer, Max, Mul, Rational, S, Sum, exp, log, tanh

from symbp import Maximum, Network, derive, indices, sizes
from symbp.differentiate import differentiate
from symbp.errors import CompilerError
from symbp.exact.checking import Checks, Derived, check
from symbp.ir.nodes import Delta, Entry, Iverson, Reduce, Slope, factors, sum_over
from symbp.ir.trace import Rate, Step, Total, by_subject
from symbp.model_file import load_model
from symbp.normalise import normalise
from symbp.share import Sharing

ZOO = Path(__file__).parent.parent / "symbp" / "zoo"
MODELS = sorted(path.stem for path in ZOO.glob("[!_]*.py"))
LONG = {"gpt2", "lenet", "transformer"}  # some seconds each

n, m = sizes("n m")
s = indices("s", n)
i, c = indices("i c", m)


def classifier() -> Network:
    net = Network("classifier")
    x, t = net.input("x", s, i), net.input("t", s, i, sums_to_one=i)
    W = net.param("W", i, c)
    u = net.define("u", (s, i), x[s, i] ** 2)
    z = net.define("z", (s, i), tanh(Sum(W[i, c] * x[s, c], c)) + u[s, i])
    y = net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c))
    net.output(y)
    net.loss(-Sum(t[s, i] * log(y[s, i]), s, i) / n)
    return net


def chain() -> Network:
    """A state that is multiplied at every step, of which a logarithm is read."""
    net = Network("chain")
    A, x = net.param("A", c, i), net.input("x", s, i)
    h = net.recurrent("h", (s, i), over=s, initial=1)
    net.define(h, (s, i), Sum(exp(A[c, i]) * h[s - 1, c], c) * exp(x[s, i]))
    net.loss(log(Sum(h[n - 1, i], i)))
    return net


# Planted rules


def doubled(terms_of: Callable[..., Any]) -> Callable[..., Any]:
    from dataclasses import replace

    return lambda expr: tuple(replace(t, coefficient=2 * t.coefficient) for t in terms_of(expr))


def without_deltas(body: Expr, bound: tuple[Any, ...]) -> Expr:
    """Σ_i δ_ij f_i taken for Σ_i f_i."""
    return sum_over(Mul(*(f for f in factors(body) if not isinstance(f, Delta))), tuple(bound))


@pytest.mark.parametrize(
    ("place", "planted", "message"),
    [
        ("symbp.differentiate.terms_of", doubled, "wrong step: ∂loss/∂y: differentiate"),
        ("symbp.differentiate.contract", lambda f: without_deltas, r"contract δ"),
        ("symbp.differentiate.in_terms_of_output", lambda f: lambda eq, e: -f(eq, e), "in terms of"),
        ("symbp.differentiate._adjoint", lambda f: lambda p, z, y, *a: f(p, z, y[:1], *a), "∂L/∂x: chain rule"),
        ("symbp.simplify.factored", lambda f: lambda e: Integer(0), "collect"),
        ("symbp.simplify.sums_to_one", lambda f: lambda e, d: 2 * f(e, d), "data sum to 1"),
        ("symbp.simplify._definition", lambda f: lambda n, a: (g := f(n, a)) and 2 * g, "wrong step: ∂L/∂"),
        ("symbp.rules.exponentials.shift", lambda f: lambda terms: (f(terms)[0], 1 + f(terms)[1]), "stabilise"),
        ("symbp.lower.nest", lambda f: lambda e: 2 * e, "nest"),
        ("symbp.share.Sharing.extract", lambda f: lambda *a: -f(*a), "wrong step: exp_z: part"),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_refused(
    place: str,
    planted: Callable[[Any], Any],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module, _, name = place.rpartition(".")
    owner = Sharing if module.endswith("Sharing") else __import__(module, fromlist=[name])
    monkeypatch.setattr(owner, name, planted(getattr(owner, name)))
    with pytest.raises(CompilerError, match=message):
        derive(classifier(), wrt=["W", "x"])


def test_a_wrong_scale_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """log Σ x̂ without the logarithms of what x̂ is divided by."""
    place = "symbp.rules.scaling._Scaling.totalled"
    monkeypatch.setattr(
        place, lambda self, eq, *a: eq.expr.xreplace({Entry(self.log, n - 1): S.Zero})
    )
    monkeypatch.setattr("symbp.rules.scaling.in_log_space", lambda *a: None)
    with pytest.raises(CompilerError, match="loss: scale"):
        derive(chain())


# The check itself


def checks(before: Expr, after: Expr, net: Network | None = None, *axes: Any) -> Checks:
    """What the check of one step in the classifier says."""
    declared = (net or classifier()).declared()
    plain = normalise(declared)
    adjoint = differentiate(plain, ("x",))
    step = Step("subject", "planted rule", "", before, after, "simplify", axes)
    return check(Derived(declared, plain, plain, adjoint), [step])


X = Entry("x", s, i)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (exp(X), exp(X) * (1 + Rational(1, 10**7))),
        (log(-(X**2) - 1), X),
        (X, log(-(X**2) - 1)),
        (X, X + S.Infinity),
        (Entry("x", s, i), Entry("x", s, c)),
        (Rate(Entry("z", s, i), X), Integer(1)),
        (Total(Entry("z", s, i)), Entry("dz", s, i) * 2),
    ],
)
def test_two_sides_that_differ(before: Expr, after: Expr) -> None:
    with pytest.raises(CompilerError, match="wrong step: subject: planted rule: .* at .*s = "):
        checks(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (exp(X), exp(X)),
        (Total(Entry("z", s, i)), Entry("dz", s, i)),
        (X - S.Infinity, -S.Infinity),
        # 30 of 40 digits cancel, which twice as many show
        (1 - 1 / (1 + X**2 / 10**30), X**2 / 10**30 / (1 + X**2 / 10**30)),
    ],
)
def test_two_sides_that_agree(before: Expr, after: Expr) -> None:
    found = checks(before, after)
    assert found.comparisons and not found.untold


def test_a_step_without_a_value_anywhere_is_said_to_be_unchecked() -> None:
    found = checks(log(-(X**2) - 1), log(-(X**2) - 2))
    assert found.comparisons == 0 and len(found.untold) == 1


def test_shares_of_a_tie_are_compared_at_ties() -> None:
    """[x_i = max x] is the slope of a maximum but for ties."""
    net = Network("largest")
    x = net.input("x", s, i)
    net.loss(Sum(Maximum(x[s, c], c) ** 2, s))
    largest = Reduce("maximum", Entry("x", s, c), c)
    assert checks(Slope(largest, largest, i), Slope(largest, largest, i), net).comparisons
    with pytest.raises(CompilerError, match="planted rule: 0.5 before it and 1 after it"):
        checks(Slope(largest, largest, i), Iverson(Eq(X, largest, evaluate=False)), net)


def test_a_kink_is_no_place_for_a_difference() -> None:
    """max(0, x) has no derivative at 0, and that of the language there is its own: labels of 0 are not compared."""
    net = Network("kink")
    x, w = net.input("x", s, integer=True), net.param("w", s)
    net.loss(Sum(Max(0, w[s]) * Max(0, x[s] * w[s]), s))
    assert not derive(net).checks.untold


# Derivations


@pytest.mark.parametrize(
    "name", [pytest.param(x, marks=[pytest.mark.slow] * (x in LONG)) for x in MODELS]
)
def test_every_step_of_the_zoo_is_checked(name: str) -> None:
    derivation = derive(load_model(ZOO / f"{name}.py"))
    assert derivation.trace and not derivation.checks.untold
    assert derivation.checks.comparisons >= len(derivation.trace)


def test_steps_lead_from_each_other() -> None:
    """From ∂L/∂z to the adjoint that the code computes, each step begins where the one before ends."""
    derivation = derive(classifier())
    steps = by_subject(derivation.trace)["∂L/∂z"]
    assert isinstance(steps[0].before, Total)
    assert all(a.after == b.before for a, b in zip(steps, steps[1:]))
    rules = [step.rule for step in steps]
    expected = [
        "chain rule",
        "local partials",
        "contract δ",
        "substitute ∂L/∂y",
        "cancel",
        "collect",
        "data sum to 1",
    ]
    assert [r for r in rules if r in expected] == expected
