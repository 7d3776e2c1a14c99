"""Rules that look at gradients."""
