"""A cluster that runs: how it is reached, and what its machines are, see and cost."""
