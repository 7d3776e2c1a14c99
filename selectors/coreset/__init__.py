"""Rules that cover the feature space."""
