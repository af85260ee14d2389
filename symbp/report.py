"""What verification measured: one row for each quantity, check and dtype, and the table that shows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Check = Literal["value", "gradient", "contract"]

HEADER = ("quantity", "float64", "float32", "extremes", "checked against")


@dataclass(frozen=True)
class Row:
    """The worst of all points: `error` is relative to the largest entry of the reference.

    Where the reference is zero but for rounding, `error` is absolute. A note says what is wrong beside numbers, such as
    a dtype or an exception, and then the error is infinite.
    """

    tensor: str  # a tensor, "loss", or a clause of the contract
    check: Check
    dtype: str
    method: str
    error: float
    tolerance: float
    extreme: bool = False  # at inputs near 1000
    note: str = ""

    @property
    def ok(self) -> bool:
        return not self.note and self.error <= self.tolerance

    @property
    def quantity(self) -> str:
        """The name of what is checked, as a person reads it."""
        return f"∂L/∂{self.tensor}" if self.check == "gradient" else self.tensor

    @property
    def strain(self) -> float:
        """How near the row is to failing, or how far beyond: 1 is the limit."""
        if not self.ok:
            return float("inf") if self.note or self.error != self.error else 1 + self.error
        return self.error / self.tolerance if self.tolerance else 0.0

    def __str__(self) -> str:
        where = " at extreme inputs" if self.extreme else ""
        said = self.note or f"error {self.error:.1e} ({self.method}), allowed {self.tolerance:.1e}"
        return f"{self.quantity} in {self.dtype}{where}: {said}"


@dataclass(frozen=True)
class Report:
    """All rows, and notes on how they came about. `str` gives the table."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether something was checked and nothing failed."""
        return bool(self.rows) and not self.failures

    @property
    def failures(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if not row.ok)

    def table(self) -> list[tuple[str, ...]]:
        """A line of cells for each quantity, and one for the whole contract, the header first."""
        numbers = [r for r in self.rows if r.check != "contract"]
        lines: list[tuple[str, ...]] = [HEADER]
        for quantity in dict.fromkeys(r.quantity for r in numbers):
            rows = [r for r in numbers if r.quantity == quantity]
            methods = dict.fromkeys(r.method for r in rows if not r.extreme)
            lines.append((quantity, *_cells(rows, "{:.1e}"), ", ".join(methods)))
        contract = [r for r in self.rows if r.check == "contract"]
        if contract:
            lines.append(("contract", *_cells(contract, "ok"), "no errors, no writes, no warnings"))
        return lines

    def __str__(self) -> str:
        table = self.table()
        widths = [max(map(len, column)) for column in zip(*table)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in table]
        first = {row.quantity: row for row in reversed(self.failures)}  # one line for each quantity
        failed = [f"FAILED  {row}" for row in reversed(first.values())]
        return "\n".join([*lines, *self.notes, *failed])


def _cells(rows: Iterable[Row], pattern: str) -> tuple[str, str, str]:
    """The errors in float64 and in float32, and what came of the extremes; "–" where nothing was compared."""
    rows = list(rows)
    ordinary = {d: [r for r in rows if r.dtype == d and not r.extreme] for d in HEADER[1:3]}
    extreme = [r for r in rows if r.extreme]
    cells = [_cell(ordinary[dtype], pattern) for dtype in HEADER[1:3]]
    return cells[0], cells[1], _cell(extreme, "ok")


def _cell(rows: list[Row], pattern: str) -> str:
    if not rows:
        return "–"
    worst = max(rows, key=lambda r: r.strain)
    if worst.ok:
        return pattern.format(max(r.error for r in rows))
    return f"{worst.error:.1e} FAILED" if worst.error < float("inf") else "FAILED"
