"""One chart per file: numbers in, SVG out, no plotting library."""
