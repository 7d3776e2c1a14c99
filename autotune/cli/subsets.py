"""Commands of selection policies: list them."""

from __future__ import annotations

import argparse

from autotune.cli.output import print_json
from autotune.cli.parsing import DONE, Commands


def add(commands: Commands) -> None:
    """Add the commands."""
    commands.add("selectors", "List the selection policies, what they need and what they cost.", selectors)


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
