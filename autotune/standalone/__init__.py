"""Selectors without a study: `select` a subset of a data set once, `audit` a data set for wrong samples."""
