"""Mathematics that selectors share: it knows tensors and generators, not signals, subsets or trials."""
