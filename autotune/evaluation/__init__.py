"""Judging a model, and judging a winner."""
