"""Pure proposals over the trial log: which configuration comes next."""

from autotune.searching.base import Searcher
from autotune.searching.cmaes import CMAES
from autotune.searching.fair import FairStart
from autotune.searching.gp import GP
from autotune.searching.grid import GridSearch
from autotune.searching.random import RandomSearch
from autotune.searching.sobol import Sobol
from autotune.searching.starting import StartingPoints
from autotune.searching.tpe import TPE

__all__ = [
    "CMAES",
    "GP",
    "TPE",
    "FairStart",
    "GridSearch",
    "RandomSearch",
    "Searcher",
    "Sobol",
    "StartingPoints",
]
