"""Trials in lockstep: those whose models have the same shape make their steps together."""
