"""Which equations run in which loop, from who reads whom."""

from __future__ import annotations

import pytest

from symbp.ir.loops import CycleError, Loop, Read, arrange


def read(reader: str, source: str, *steps: int | None) -> Read:
    """`reader` reads `source` at its own place on each axis, so many steps ahead; None: at no one place."""
    places = tuple(None if step is None else (axis, step) for axis, step in enumerate(steps))
    return Read(reader, source, places, f"{source}{list(steps)}")


def test_what_needs_no_loop_keeps_its_order() -> None:
    reads = [read("c", "a", 0), read("d", "b", 0), read("d", "c", 0)]
    assert arrange(["a", "b", "c", "d"], reads) == ("a", "b", "c", "d")
    assert arrange(["d", "c", "b", "a"], reads) == ("b", "a", "c", "d")


def test_a_state_and_what_it_needs_within_a_step() -> None:
    reads = [
        read("z", "h", 0, -1),
        read("h", "z", 0, 0),
        read("z", "x", 0, 0),
        read("y", "h", 0, 0),
    ]
    found = arrange(["x", "z", "h", "y"], reads)
    assert found == ("x", Loop({"h": 1, "z": 1}, True, ("z", "h")), "y")


def test_steps_ahead_run_backward() -> None:
    (loop,) = arrange(["h"], [read("h", "h", 1)])
    assert loop == Loop({"h": 0}, False, ("h",))


def test_loops_nest() -> None:
    """A layer reads the one below, and in it each step of time the one before."""
    reads = [read("x", "h", 0, 0), read("h", "x", -1, 0), read("h", "h", 0, -1)]
    (loop,) = arrange(["x", "h"], reads)
    assert loop == Loop({"x": 0, "h": 0}, True, (Loop({"h": 1}, True, ("h",)), "x"))
    (other,) = arrange(["x", "h"], reads, lambda name, axis: -axis)
    assert isinstance(other, Loop) and other.axes == {"x": 1, "h": 1}


@pytest.mark.parametrize(
    ("reads", "words"),
    [
        ([read("h", "h", 0)], ["h → h", "without a step"]),
        ([read("z", "h", 0), read("h", "z", 0)], ["→", "without a step"]),
        ([read("h", "h", -1), read("h", "h", 1)], ["h[-1]", "forward", "h[1]", "backward"]),
        ([read("h", "h", None)], ["h → h", "at no one step"]),
        (
            [read("g", "g", -1), read("g", "h", 1), read("h", "h", -1), read("h", "g", -1)],
            ["h → g → h", "g[-1]", "forward", "h[1]", "backward"],
        ),
        ([read("h", "h", -1), read("h", "h", None)], ["h[None]", "not read at one step"]),
    ],
)
def test_cycles_that_no_loop_computes(reads: list[Read], words: list[str]) -> None:
    names = sorted({r.reader for r in reads})
    with pytest.raises(CycleError) as caught:
        arrange(names, reads)
    for word in words:
        assert word in str(caught.value)
