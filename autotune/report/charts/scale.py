"""From numbers to places on a drawing, with ticks where a person would put them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from autotune.report.charts.svg import Markup, join, tag, text
from autotune.report.numbers import number

NICE: Final = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """A range of numbers laid over a range of places.

    Attributes:
        low: Lowest number; above 0 where `log` is set.
        high: Highest number, above `low`.
        start: Place of `low`.
        end: Place of `high`; may be before `start`.
        log: Equal ratios get equal lengths.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a number; one outside the range is put at its end."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    @classmethod
    def over(cls, values: Iterable[float], start: float, end: float, log: bool = False) -> Scale:
        """Cover all finite values, with a range even where they are all alike."""
        finite = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
        low, high = (min(finite), max(finite)) if finite else (1.0, 2.0) if log else (0.0, 1.0)
        if not high > low * (1 + 1e-12 if low > 0 else 1 - 1e-12) or high == low:
            half = abs(low) / 2 or 0.5
            low, high = (low / 2, high * 2) if log else (low - half, high + half)
        return cls(low, high, start, end, log)

    def widened(self, share: float) -> Scale:
        """The same places, with air at both ends."""
        air = share * (self.high - self.low)
        return Scale(self.low - air, self.high + air, self.start, self.end)

    def ticks(self, about: int = 5) -> list[float]:
        """About so many round numbers within the range."""
        if self.log:
            return self._log_ticks(about)
        rough = (self.high - self.low) / about
        power = 10 ** math.floor(math.log10(rough))
        step = next(nice * power for nice in NICE if nice * power >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(k * step, 12) for k in range(first, last + 1)]

    def _log_ticks(self, about: int) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for mantissas in ((1, 2, 5), (1, 3), (1,)):
            found = [float(f"{m}e{d}") for d in decades for m in mantissas]
            inside = [tick for tick in found if self.low * 0.999 <= tick <= self.high * 1.001]
            if len(inside) <= about + 1:
                return inside or [self.low, self.high]
        stride = math.ceil(len(inside) / about)
        return inside[::stride]


def x_axis(scale: Scale, bottom: float, title: str, ticks: Sequence[float] | None = None) -> Markup:
    """The line, the ticks with their numbers, and what they mean."""
    places = scale.ticks() if ticks is None else ticks
    return join(
        [
            tag("line", x1=scale.start, x2=scale.end, y1=bottom, y2=bottom, class_="axis"),
            *(text(scale(tick), bottom + 16, number(tick, 3), anchor="middle") for tick in places),
            text((scale.start + scale.end) / 2, bottom + 34, title, anchor="middle", class_="title"),
        ]
    )


def y_axis(scale: Scale, left: float, right: float, title: str, sign: int = 1) -> Markup:
    """Grid lines with their numbers, and what they mean above them; `sign` turns scores into metrics."""
    steps = scale.ticks()
    digits = _digits(steps)
    lines = [tag("line", x1=left, x2=right, y1=scale(t), y2=scale(t), class_="grid") for t in steps]
    labels = [text(left - 6, scale(t) + 4, number(sign * t, digits), anchor="end") for t in steps]
    return join([*lines, *labels, text(4, min(scale.start, scale.end) - 8, title, class_="title")])


def _digits(ticks: Sequence[float]) -> int:
    """Significant digits that keep neighbouring ticks apart."""
    for digits in range(2, 8):
        if len({number(tick, digits) for tick in ticks}) == len(ticks):
            return digits
    return 8


def thinned(values: Sequence[float], scale: Scale, apart: float) -> list[float]:
    """Those values whose places are at least so far apart, the last one always kept."""
    kept: list[float] = []
    for value in sorted(values, reverse=True):
        if not kept or abs(scale(kept[-1]) - scale(value)) >= apart:
            kept.append(value)
    return kept[::-1]


def quantile(values: Sequence[float], q: float) -> float:
    """The q-quantile of some values, q in [0, 1]; no interpolation."""
    ordered = sorted(values)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)]
