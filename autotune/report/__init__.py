"""Showing a study to a person."""
