"""From a spec to a cluster that runs, and back: each launcher behind what all have in common."""
