"""What selectors there are, as a table for people and programs."""

from __future__ import annotations

import dataclasses
from typing import Any

from autotune.selection import Selector, selector_class, selector_names
from autotune.signals import Signal, passes


def catalogue() -> list[dict[str, Any]]:
    """One card per registered selector, by family and name."""
    cards = [_card(name, selector_class(name)) for name in selector_names()]
    return sorted(cards, key=lambda card: (card["family"], card["name"]))


def _card(name: str, cls: type[Selector]) -> dict[str, Any]:
    scoring = passes(cls.needs - {Signal.LOSS})  # training yields losses
    fields = [f for f in dataclasses.fields(cls) if f.init]  # type: ignore[arg-type]  # selectors are dataclasses
    return {
        "name": name,
        "family": family(cls),
        "summary": (cls.__doc__ or "").strip().partition("\n")[0],
        "needs": sorted(signal.value for signal in cls.needs),
        "size": cls.size.value,
        "scope": cls.scope.value,
        "unbiased": cls.unbiased,
        "passes": scoring,
        "cost": f"{scoring:.2g} ee x the pool's share, whenever it selects" if scoring else "no extra pass",
        "parameters": {f.name: _default(f) for f in fields},
    }


def family(cls: type[Selector]) -> str:
    """The folder of a built-in selector, the package of a third party's."""
    parts = cls.__module__.split(".")
    built_in = parts[:2] == ["autotune", "selectors"] and len(parts) > 3
    return parts[2] if built_in else parts[0]


def _default(one: dataclasses.Field[Any]) -> Any:
    if one.default is not dataclasses.MISSING:
        return one.default
    return None if one.default_factory is dataclasses.MISSING else one.default_factory()
