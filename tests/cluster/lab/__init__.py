"""A cluster laboratory on one machine: hosts that can be lost, and what a study remembers of it."""
