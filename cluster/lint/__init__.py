"""Rules over a spec, which no schema has; `rules.py` lists them all."""
