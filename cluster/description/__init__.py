"""A cluster on paper: what its spec may say, how it is written and read, and what is wrong with it."""
