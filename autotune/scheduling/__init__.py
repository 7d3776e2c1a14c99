"""Pure rules over the trial log: who is advanced next."""
