"""Rules that ignore the data: everything, or chance."""
