"""Pure proposals over the trial log: which configuration comes next."""

from autotune.searching.base import Searcher
from autotune.searching.fair import FairStart
from autotune.searching.grid import GridSearch
from autotune.searching.random import RandomSearch
from autotune.searching.starting import StartingPoints
from autotune.searching.tpe import TPE

__all__ = ["TPE", "FairStart", "GridSearch", "RandomSearch", "Searcher", "StartingPoints"]
