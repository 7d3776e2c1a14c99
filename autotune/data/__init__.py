"""What is learnt from: data sets, their splits, and readers of public formats."""

from autotune.data.dataset import Dataset
from autotune.data.digits import digits
from autotune.data.scaling import standardise
from autotune.data.shards.cache import Limits
from autotune.data.sources import open_dataset
from autotune.data.splits import Splits
from autotune.data.text import HashingTokenizer

__all__ = ["Dataset", "HashingTokenizer", "Limits", "Splits", "digits", "open_dataset", "standardise"]
