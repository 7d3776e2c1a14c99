"""What can be searched: ranges, choices with parameters of their own, and fixed values."""

from autotune.space.dimensions import Choice, Dimension, Fixed
from autotune.space.ranges import Float, Int
from autotune.space.space import SearchSpace
from autotune.space.values import Scalar

__all__ = ["Choice", "Dimension", "Fixed", "Float", "Int", "Scalar", "SearchSpace"]
