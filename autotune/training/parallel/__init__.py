"""One trial in several processes: each computes its rows of every batch, and all decide alike."""
