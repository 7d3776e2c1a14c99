"""Commands of selection policies: list them, and choose a subset with one."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from autotune.cli.datasets import add_options, load, pairs, plain
from autotune.cli.output import answer, print_json
from autotune.cli.parsing import Commands
from autotune.cli.waiting import Waiting
from autotune.errors import DONE


def add(commands: Commands) -> None:
    """Add the commands."""
    commands.add("selectors", "List the selection policies, what they need and what they cost.", selectors)
    one = commands.add("select", "Choose a subset of a data set with one selector.", select)
    add_options(one)
    one.add_argument("--selector", required=True, metavar="NAME", help="see `autotune selectors`")
    one.add_argument("--fraction", required=True, type=float, metavar="F", help="share to keep, in (0, 1]")
    one.add_argument("--out", required=True, type=Path, metavar="FILE", help="ends in .parquet or .csv")
    one.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the selector"
    )
    one.add_argument(
        "--signal", action="append", default=[], metavar="NAME=FILE.npy|COLUMN", help="a signal it needs"
    )
    one.add_argument(
        "--engine",
        choices=("inprocess", "ray"),
        default="inprocess",
        help="where an encoder's pass over shards is made",
    )
    one.add_argument("--address", help="of a running Ray cluster (default: one of its own)")
    one.add_argument("--workers", type=int, default=2, metavar="N", help="on the cluster (default: 2)")
    one.add_argument(
        "--plugin", action="append", default=[], metavar="MODULE", help="registers selectors of your own"
    )


def selectors(given: argparse.Namespace) -> int:
    """List the selectors."""
    from autotune.report.catalogue import catalogue

    cards = catalogue()
    if given.json:
        print_json(cards)
        return DONE
    for card in cards:
        parameters = ", ".join(f"{name}={value}" for name, value in card["parameters"].items())
        print(f"{card['name']} ({card['family']}): {card['summary']}")
        print(f"    parameters: {parameters or 'none'}; size: {card['size']}")
        print(f"    needs: {', '.join(card['needs']) or 'nothing'}; cost: {card['cost']}")
    return DONE


def select(given: argparse.Namespace) -> int:
    """Choose a subset."""
    return answer(lambda: _selected(given), given.json)


def _selected(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from autotune.errors import SelectorError
    from autotune.importing import import_module
    from autotune.selection import make_selector
    from autotune.standalone.files import check_free, check_table_path
    from autotune.standalone.select import select

    if not 0.0 < given.fraction <= 1.0:
        raise SelectorError(f"--fraction must be in (0, 1], got {given.fraction}")
    for module in given.plugin:
        import_module(module, [Path.cwd()])
    parameters = {name: plain(value) for name, value in pairs(given.parameter, "--parameter").items()}
    selector = make_selector(given.selector, **parameters)
    check_free(check_table_path(given.out), given.overwrite)
    with Waiting(given.quiet) as waiting:
        data, sources = load(given, pairs(given.signal, "--signal"))
        if given.engine == "ray":
            from autotune.cluster.spread import OnCluster

            sources = replace(sources, spread=OnCluster(given.address, given.workers))
        chosen = select(data, selector, given.fraction, sources, given.seed, waiting)
    chosen.save(given.out)
    said = f"{len(chosen):,} of {chosen.facts['candidates']:,} samples: {given.out}"
    return {**chosen.facts, "out": str(given.out)}, said
