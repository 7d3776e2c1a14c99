"""What searches of several systems cost and come to, beside stock's and beside ours, from their rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any, Final

import numpy as np

from benchmarks.finals import bound, unpacked
from benchmarks.systems import STOCK

OURS: Final = "autotune"


def summary(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A line per task and system, beside stock on the seeds that both have."""
    table = []
    for task, system in dict.fromkeys((row["task"], row["system"]) for row in rows):
        found, base = (
            {row["seed"]: row for row in rows if (row["task"], row["system"]) == (task, name)}
            for name in (system, STOCK)
        )
        shared = sorted(found.keys() & base.keys())
        pairs = [(found[seed], base[seed]) for seed in shared]
        line = {"task": task, "system": system, "seeds": len(found), "accuracy": accuracy(found.values())}
        for key in ("epochs", "seconds", "trials"):
            line[key] = median(row[key] for row in found.values())
        if pairs and system != STOCK:
            line["of_compute"] = median(a["epochs"] / b["epochs"] for a, b in pairs)
            line["of_time"] = median(a["seconds"] / b["seconds"] for a, b in pairs)
            line["with_final"] = median(with_final(a) / with_final(b) for a, b in pairs)
            line["with_final_time"] = median(time_with_final(a) / time_with_final(b) for a, b in pairs)
        if len(pairs) > 1 and system != STOCK:
            ours, theirs = ([hits_of(pair[side]) for pair in pairs] for side in (0, 1))
            against = bound(ours, theirs)
            line |= dataclasses.asdict(against) | {"not_inferior": against.not_inferior}
        table.append(line)
    return table


def beside_ours(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How much better `autotune` is than each other system but stock, on the searches that both have."""
    hits = {(row["task"], row["system"], row["seed"]): hits_of(row) for row in rows}
    found = []
    for task, system in dict.fromkeys((row["task"], row["system"]) for row in rows):
        both = [seed for name, other, seed in hits if (name, other) == (task, system)]
        both = [seed for seed in both if (task, OURS, seed) in hits]
        if system not in (OURS, STOCK) and len(both) > 1:
            sides = ([hits[task, name, seed] for seed in both] for name in (OURS, system))
            found.append({"task": task, "system": system, "seeds": len(both), **vars(bound(*sides))})
    return found


def with_final(row: Mapping[str, Any]) -> float:
    """Compute of a search and one training of what it found."""
    return float(row["epochs"] + row["final_epochs"])


def time_with_final(row: Mapping[str, Any]) -> float:
    """Seconds of a search and one training of what it found, which has a worker of its own as all have."""
    return float(row["seconds"] + row["one_final_seconds"])


def hits_of(row: Mapping[str, Any]) -> Any:
    """Shape (models, items)."""
    return np.stack([unpacked(one, row["items"]) for one in row["hits"]])


def accuracy(rows: Iterable[Mapping[str, Any]]) -> list[float]:
    """Mean test accuracy of each search's models."""
    return [float(hits_of(row).mean()) for row in rows]


def markdown(table: Sequence[Mapping[str, Any]]) -> str:
    """The table: medians over searches; the difference is a mean, with the lower end of its interval."""
    lines = [
        "| task | system | test accuracy | trials | search ee | search s | of compute | of time "
        "| with one final: compute | time | difference, 95 % above | one error of stock | |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table:
        line = (
            f"| {row['task']} | {row['system']} | {fmean(row['accuracy']):.4f} | {row['trials']:g} "
            f"| {row['epochs']:.1f} | {row['seconds']:.0f} "
        )
        if "of_compute" in row:
            line += (
                f"| 1/{1 / row['of_compute']:.1f} | 1/{1 / row['of_time']:.1f} "
                f"| 1/{1 / row['with_final']:.1f} | 1/{1 / row['with_final_time']:.1f} "
            )
        if "low" in row:
            said = "not inferior" if row["not_inferior"] else "not shown"
            line += f"| {row['difference']:+.4f}, {row['low']:+.4f} | {row['error']:.4f} | {said} |"
        elif "of_compute" in row:
            line += "| one search | | |"
        else:
            line += "| 1 | 1 | 1 | 1 | | | |"
        lines.append(line)
    return "\n".join(lines)


def further(report: Mapping[str, Any]) -> str:
    """What our systems are beside each other, and what their confirmations took and say."""
    lines = [
        f"{one['task']}: {OURS} less {one['system']}: {one['difference']:+.4f}, "
        f"95 % above {one['low']:+.4f}, 95 % below {one['high']:+.4f} ({one['seeds']} searches)"
        for one in report["beside_ours"]
    ]
    for one in report["confirmed"]:
        took = f"{one['epochs']:.1f} ee, {one['seconds']:.0f} s"
        lines.append(f"{one['task']}, {one['system']}, seed {one['seed']} confirmed: {took}\n{one['says']}")
    return "\n".join(lines)
