"""The command that looks for samples that are likely wrong."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from autotune.cli.datasets import add_options, load
from autotune.cli.output import answer
from autotune.cli.parsing import Commands
from autotune.cli.waiting import Waiting


def add(commands: Commands) -> None:
    """Add the command."""
    one = commands.add("audit", "Rank likely mislabelled samples of a data set, and find duplicates.", audit)
    add_options(one)
    one.add_argument("--out", required=True, type=Path, metavar="DIR", help="gets the table and a page")
    one.add_argument("--table", choices=("parquet", "csv"), default="parquet", help="(default: parquet)")
    one.add_argument(
        "--near", type=float, metavar="D", help="how near duplicates are, in typical distances (default: 0.2)"
    )
    one.add_argument(
        "--folds",
        type=int,
        metavar="K",
        help="how many models judge, each what it was not shown (default: 3)",
    )


def audit(given: argparse.Namespace) -> int:
    """Audit a data set."""
    return answer(lambda: _audited(given), given.json)


def _audited(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from autotune.data.originals import describer
    from autotune.standalone.audit import NEAR, audit
    from autotune.standalone.crossed import FOLDS
    from autotune.standalone.files import check_free, check_table_path
    from autotune.standalone.page import write_page

    table, page = check_table_path(given.out / f"samples.{given.table}"), given.out / "report.html"
    for path in (table, page):
        check_free(path, given.overwrite)
    with Waiting(given.quiet) as waiting:
        data, sources = load(given, {})
        near = NEAR if given.near is None else given.near
        folds = FOLDS if given.folds is None else given.folds
        found = audit(data, sources, near, folds, given.seed, waiting)
    found.save(table)
    write_page(found, page, Path(given.data).name, describer(given.data))
    counts = found.summary()
    said = [f"{name.replace('_', ' ')}: {count:,}" for name, count in counts.items()]
    document = {**counts, **found.facts, "table": str(table), "page": str(page)}
    return document, "\n".join([", ".join(said), f"table: {table}", f"page: {page}"])
