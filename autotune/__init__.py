"""autotune searches training settings and data-selection policy together."""
