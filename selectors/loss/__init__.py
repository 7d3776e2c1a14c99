"""Rules that look at losses and predictions."""
