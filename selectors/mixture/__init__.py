"""Rules that say how much of each source to take."""
