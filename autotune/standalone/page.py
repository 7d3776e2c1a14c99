"""What an audit found, as one HTML file with pictures that needs no network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from autotune.data.columns import Array
from autotune.report.charts.bars import bars
from autotune.report.charts.svg import Markup, escape, join, tag
from autotune.report.document import document, write_document
from autotune.report.numbers import number
from autotune.report.parts import header, section, tiles
from autotune.standalone.audit import Audit
from autotune.standalone.pictures import Describe, is_image, shown

SUSPECTS: Final = 120  # pictures of likely mislabelled samples
GROUPS: Final = 40  # of copies, and pairs of near duplicates
GROUP: Final = 6  # samples of one group of copies
PAIRS: Final = 12  # of labels that are mixed up


def write_page(audit: Audit, path: str | Path, title: str, describe: Describe | None = None) -> Path:
    """Write the page of an audit.

    Args:
        audit: What it shows.
        path: The file.
        title: What the data is called.
        describe: From ids to a text each, for samples that are no images; input values when None.

    Raises:
        StorageError: When the file cannot be written.
    """
    target = Path(path)
    write_document(page(audit, title, describe), target)
    return target


def page(audit: Audit, title: str, describe: Describe | None = None) -> str:
    """The whole document; see `write_page`."""
    suspects = audit.suspects()[:SUSPECTS]
    copies, pairs = audit.copies()[:GROUPS], audit.duplicates.pairs()[:GROUPS]
    copies = [group[:GROUP] for group in copies]
    twins = [position for one, other, _ in pairs for position in (one, other)]
    drawn = np.unique(np.concatenate([suspects, *copies, twins]).astype(np.int64))
    samples = _Samples(audit, shown(audit.data, audit.rows[drawn], describe))
    counts = audit.summary()
    found = sum(counts.get(name, 0) for name in ("likely_mislabelled", "exact_copies", "near_duplicates"))
    chip = f"{found:,} to look at" if found else "nothing found"
    footer = "Made by autotune; it loads nothing. The table beside it has every sample."
    body = [
        header(title, "an audit of a data set", chip, "open" if found else "done"),
        tag("section", tag("p", escape(_lede(counts)), class_="lede")),
        tiles((f"{value:,}", name.replace("_", " ")) for name, value in counts.items()),
        _mislabelled(samples, suspects),
        _copied(samples, copies),
        _near(samples, pairs),
        tag("div", _mixed(audit), _origin(audit), class_="pair"),
        tag("footer", escape(footer)),
    ]
    return document(f"{title} · autotune audit", join(body), pictures=True)


@dataclass(frozen=True)
class _Samples:
    """The samples that the page shows.

    Attributes:
        audit: What was found.
        looks: Of each, by id.
    """

    audit: Audit
    looks: Mapping[int, Markup]

    @property
    def wordy(self) -> str:
        """The class of a gallery whose samples are texts."""
        return "" if is_image(self.audit.data) else " wordy"

    def figure(self, position: int, *note: str, suggest: bool = False) -> Markup:
        """One sample with its label, perhaps the one that the model prefers, and a note."""
        sample = int(self.audit.rows[position])
        label, preferred = self.audit.names(position)
        caption = [tag("b", escape(label))] if suggest else [escape(label)]
        if suggest and preferred:
            caption.append(escape(f" → {preferred}"))
        caption.append(tag("span", escape(" · ".join([f"id {sample}", *note]))))
        return tag("figure", self.looks[sample], tag("figcaption", *caption))

    def group(self, positions: Sequence[int], *note: str) -> Markup:
        """Samples that belong together; framed where their labels differ."""
        labels = {self.audit.names(position)[0] for position in positions}
        said = tag("p", escape(" · ".join(note))) if note else Markup("")
        figures = [self.figure(position) for position in positions]
        return tag("div", said, *figures, class_="group odd" if len(labels) > 1 else "group")


def _lede(counts: Mapping[str, int]) -> str:
    n = counts["samples"]
    parts = []
    if "likely_mislabelled" in counts:
        parts.append(f"{counts['likely_mislabelled']:,} of {n:,} samples are likely mislabelled")
    copies = f"{counts['exact_copies']:,} are exact copies of others"
    if counts["copies_with_another_label"]:
        copies += f", {counts['copies_with_another_label']:,} of them with another label"
    return "; ".join([*parts, copies, f"{counts['near_duplicates']:,} are close to another."])


def _mislabelled(samples: _Samples, suspects: Array) -> Markup:
    labels = samples.audit.labels
    if labels is None:
        return Markup("")
    classes = bool(np.isfinite(labels.margin).all())
    total = int(labels.suspect.sum())
    few = f"the first {len(suspects)} of {total:,}" if total > len(suspects) else f"all {total}"
    if classes:
        sub = (
            f"Here are {few}, the likeliest wrong first: as many as models that had "
            "not seen them were confident to be of another class. The given label is red, the preferred one "
            "behind the arrow."
        )
    else:
        sub = f"A sample is here when its error is far out; {few}, the likeliest wrong first."
    values = labels.margin if classes else labels.loss
    name = "margin" if classes else "loss"
    figures = [samples.figure(p, f"{name} {number(float(values[p]), 2)}", suggest=True) for p in suspects]
    return section("Likely mislabelled", sub, _gallery(figures, samples.wordy))


def _mixed(audit: Audit) -> Markup:
    if audit.labels is None or audit.data.kind != "classification":
        return Markup("")
    mixed = audit.mixed()[:PAIRS]
    rows = [(f"{given} → {preferred}", float(count), f"{count:,}") for given, preferred, count in mixed]
    sub = "Likely mislabelled samples by given and preferred label, the most frequent pairs first."
    drawn = bars("Samples by given and preferred label", rows) if rows else None
    return section("Labels that are mixed up", sub, drawn)


def _copied(samples: _Samples, copies: Iterable[Array]) -> Markup:
    groups = [samples.group(group.tolist()) for group in copies]
    sub = "Samples of the same content; those with several labels first, framed in red."
    return section("Exact copies", sub, _gallery(groups, f" groups{samples.wordy}"))


def _near(samples: _Samples, pairs: Iterable[tuple[int, int, float]]) -> Markup:
    groups = [samples.group((one, other), f"distance {number(apart, 2)}") for one, other, apart in pairs]
    sub = (
        "Each with its nearest sample, the nearest first. Distances are shares of the median distance of a "
        f"sample to its nearest; what is below {number(samples.audit.facts['near'], 2)} counts."
    )
    return section("Near duplicates", sub, _gallery(groups, f" groups{samples.wordy}"))


def _gallery(content: Sequence[Markup], classes: str) -> Markup | None:
    return tag("div", *content, class_=f"gallery{classes}") if content else None


def _origin(audit: Audit) -> Markup:
    facts: Mapping[str, Any] = audit.facts
    rows = [tag("div", tag("dt", escape(n)), tag("dd", escape(value))) for n, value in facts.items()]
    return section("Where this comes from", "Enough to run it again.", tag("dl", *rows))
