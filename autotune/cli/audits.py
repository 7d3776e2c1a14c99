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


def audit(given: argparse.Namespace) -> int:
    """Audit a data set."""
    return answer(lambda: _audited(given), given.json)


def _audited(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from autotune.data.originals import describer
    from autotune.standalone.audit import NEAR, audit
    from autotune.standalone.files import check_table_path
    from autotune.standalone.page import write_page

    table = check_table_path(given.out / f"samples.{given.table}")
    with Waiting(given.quiet) as waiting:
        data, sources = load(given, {})
        near = NEAR if given.near is None else given.near
        found = audit(data, sources, near, given.seed, waiting)
    found.save(table)
    page = write_page(found, given.out / "report.html", Path(given.data).name, describer(given.data))
    counts = found.summary()
    said = [f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items()]
    document = {**counts, **found.facts, "table": str(table), "page": str(page)}
    return document, "\n".join([", ".join(said), f"table: {table}", f"page: {page}"])
