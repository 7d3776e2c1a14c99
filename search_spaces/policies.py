"""Data policies: every selector with the parameters that make sense for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from autotune.errors import SelectorError, SpaceError, unknown
from autotune.policy import FACTORS, policy_parameters
from autotune.selection import Scope, selector_class, selector_names
from autotune.signals import KNOWN, Signal, passes
from autotune.space import Choice, Dimension, Float, Int, Scalar

BASELINES: Final = ("full", "fresh_random")
SELECTORS: Final = (
    *BASELINES, "random", "infobatch", "el2n", "small_loss", "k_center", "target_alignment",
)  # fmt: skip

FRACTION: Final = Float(0.05, 0.4, log=True)
POOL: Final = Float(0.1, 0.4, log=True)
KEPT: Final = Float(0.15, 0.65)  # of the pool: with wrong labels about one minus their share is best
LR_FACTOR: Final = Float(0.3, 3.0, log=True)  # subsets and all data from one learning rate, each shifted
INTERVAL: Final = Float(0.05, 0.15, log=True)  # fair to judge after two selections: by a third of the horizon
SKIP: Final = Float(0.0, 0.3)  # the likely mislabelled tail
HISTORY: Final = Float(0.05, 0.15)  # of a warm-up in which all samples get a history

DAMPING: Final = Float(0.1, 30.0, log=True)  # of the last layer's curvature
SELDOM: Final[Mapping[str, Dimension]] = {"interval": Float(0.1, 0.25, log=True)}  # where signals cost most
FEW_AND_SELDOM: Final[Mapping[str, Dimension]] = {  # for rules that take time with every pick and candidate
    **SELDOM,
    "fraction": Float(0.02, 0.1, log=True),
    "pool": Float(0.1, 0.2, log=True),
}

# what one selector has and the others need not
OWN: Final[Mapping[str, Mapping[str, Dimension]]] = {
    "stratified": {"allocation": Choice(["proportional", "balanced"])},
    "infobatch": {"anneal": Float(0.0, 0.2)},
    "el2n": {"skip": SKIP},
    "grand": {"skip": SKIP},
    "top_loss": {"skip": SKIP},
    "selective_backprop": {"beta": Float(0.5, 4.0, log=True)},
    "forgetting": {"warmup": HISTORY, "skip": SKIP, "sampler": Choice(["top", "coverage"])},
    "aum": {"warmup": HISTORY, "skip": SKIP, "sampler": Choice(["bottom", "coverage"])},
    "tdds": {"warmup": HISTORY, "skip": SKIP, "sampler": Choice(["top", "coverage"])},
    "dual": {"warmup": HISTORY, "easing": Float(2.0, 12.0, log=True)},
    "temperature_mixture": {"temperature": Float(1.0, 10.0, log=True)},
    "doremi": {"warmup": HISTORY, "step": Float(0.1, 3.0, log=True)},
    "self_paced": {"start": Float(0.1, 0.6), "ramp": Float(0.2, 0.8)},
    "small_loss": {
        "warmup": Float(0.0, 0.1),
        "ramp": Float(0.0, 0.5),
        "class_balanced": Choice([False, True]),
    },
    "gradient_norm": {"skip": SKIP},
    "ekfac_self": {"skip": SKIP, "damping": DAMPING},
    "ekfac": {"damping": DAMPING},
    "influence_function": {"damping": DAMPING},
    "datainf": {"damping": Float(0.01, 1.0, log=True)},
    "tracin": SELDOM,
    "trak": {**SELDOM, "ridge": Float(0.03, 3.0, log=True)},
    "less": {"per_class": Choice([False, True])},
    "glister": {"step": Float(0.1, 10.0, log=True)},
    "gradmatch": {**FEW_AND_SELDOM, "batch": Choice([1, 32]), "regularisation": Float(0.01, 1.0, log=True)},
    "craig": FEW_AND_SELDOM,
    "k_center": FEW_AND_SELDOM,
    "facility_location": FEW_AND_SELDOM,
    "graph_cut": {**FEW_AND_SELDOM, "redundancy": Float(1.0, 30.0, log=True)},
    "log_det": {
        **FEW_AND_SELDOM,
        "fraction": Float(0.01, 0.04, log=True),
        "ridge": Float(0.001, 0.1, log=True),
    },
    "herding": FEW_AND_SELDOM,
    "d2": {**FEW_AND_SELDOM, "spread": Float(0.1, 3.0, log=True)},
    "moderate": {"class_balanced": Choice([False, True])},
    "prototypes": {"sampler": Choice(["top", "bottom", "coverage"]), "clusters": Int(5, 100, log=True)},
    "leverage": {"floor": Float(0.05, 0.5, log=True)},
}


def policies(
    names: Sequence[str] = SELECTORS,
    *,
    without: Collection[str] = (),
    **ranges: Dimension | Scalar,
) -> Choice:
    """The parameter `policy`: which selector, and under each its own parameters.

    The baselines `full` and `fresh_random` are arms whatever `names` says, for a winner means little without
    them; remove them by `without`. Where the budget must see few dimensions, fix some: `policies(pool=0.2)`.

    Args:
        names: Registered selectors.
        without: Selectors to leave out, baselines included.
        ranges: Replace the range of a parameter in every policy that has it (`fraction`, `pool`,
            `kept`, `interval`, `skip`, ...), and add `warmup`, `anneal`, `weighting`, `lr_factor` and
            `batch_factor` to all that select.

    Raises:
        SpaceError: When a name is unknown or nothing is left.
    """
    for name in (*names, *without):
        if name not in selector_names():
            raise SelectorError(unknown("selector", name, selector_names()))
    chosen = [name for name in dict.fromkeys((*BASELINES, *names)) if name not in without]
    if not chosen:
        raise SpaceError("policies must keep at least one selector, got none; shorten `without`")
    known = frozenset().union(*(policy_parameters(name) for name in chosen))
    for parameter in ranges:
        if parameter not in known:
            raise SpaceError(unknown("parameter of the chosen policies", parameter, known))
    return Choice({name: _parameters(name, ranges) for name in chosen})


def _parameters(name: str, ranges: Mapping[str, Dimension | Scalar]) -> dict[str, Dimension | Scalar]:
    if name == "full":
        return {}
    selector = selector_class(name)
    own = OWN.get(name, {})
    collected = selector.needs - ({Signal.LOSS} if selector.tolerates_gaps else set())
    found: dict[str, Dimension | Scalar]
    if not passes(collected):  # a pool would save nothing
        found = {"fraction": FRACTION}
    elif "fraction" in {**own, **ranges}:
        found = {"fraction": FRACTION, "pool": POOL}
    else:  # drawn apart, one pool of three would be kept whole
        found = {"pool": POOL, "kept": KEPT}
    if selector.needs - KNOWN and selector.scope is Scope.EPOCH:
        found["interval"] = INTERVAL
    found |= own
    everywhere = {"warmup", "anneal", "weighting", *FACTORS}
    return found | {key: value for key, value in ranges.items() if key in found or key in everywhere}
