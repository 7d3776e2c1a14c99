"""What can be searched: ranges, choices with parameters of their own, and fixed values."""

from autotune.space.dimensions import Choice, Dimension, Fixed, Float, Int, Scalar
from autotune.space.space import SearchSpace

__all__ = ["Choice", "Dimension", "Fixed", "Float", "Int", "Scalar", "SearchSpace"]
