"""Pure proposals over the trial log: which configuration comes next."""
