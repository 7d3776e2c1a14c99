"""Pure functions from a spec to what its launcher reads; `files.py` puts them together."""
