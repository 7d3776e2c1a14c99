"""Checks of what is rendered, offline: Ray's schema, KubeRay's, rules of ours; `offline.py` runs them."""
