"""The study under test, and the process that drives it.

python -m tests.cluster.lab.driver FOLDER ADDRESS
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from autotune.engines.base import Engine
from autotune.scheduling.asha import ASHA
from autotune.searching import TPE
from autotune.space import Float, SearchSpace
from autotune.study import Budget, Confirm, Plan, Study

from .work import Paced

SPACE = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})


@final
@dataclass(frozen=True)
class Setup:
    """A small study, as all its drivers have it.

    Attributes:
        trials: Configurations tried.
        workers: Trials at once.
        quanta: Checkpoints of a trial that is trained to the end.
        quantum_s: Seconds between two of them.
        ordered: Whether decisions are those of any other engine.
        gpus: Of a trial, which otherwise takes a CPU.
        prices: Per hour, by type of machine.
    """

    trials: int = 8
    workers: int = 2
    quanta: int = 9
    quantum_s: float = 0.5
    ordered: bool = True
    gpus: int = 0
    prices: Mapping[str, float] | None = None

    def plan(self) -> Plan:
        """How it searches."""
        return Plan(
            Budget(trials=self.trials),
            ASHA(horizon=3.0, lowest=1.0 / 3.0),
            TPE(startup=4),
            Confirm(leaders=1, seeds=2),
            ordered_workers=self.workers if self.ordered else None,
        )

    def study(self, folder: Path, engine: Engine) -> Study:
        """The study in a folder of its own, to be begun or continued."""
        folder.mkdir(parents=True, exist_ok=True)
        work = Paced(folder, 3.0 / self.quanta, self.quantum_s)
        return Study(work, SPACE, folder / "study", self.plan(), engine, prices=self.prices)

    def write(self, folder: Path) -> None:
        """For the driver."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "setup.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> Setup:
        """Undo `write`."""
        return cls(**json.loads((folder / "setup.json").read_text()))


def main(folder: Path, address: str) -> None:
    from autotune.cluster.engine import RayEngine  # the harness reads setups, and needs no Ray for it

    setup = Setup.read(folder)
    engine = RayEngine(setup.workers, {"GPU": setup.gpus} if setup.gpus else None, address=address)
    result = setup.study(folder, engine).run()
    print("done", result.done, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
