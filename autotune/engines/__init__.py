"""Who runs trials: in this process, in virtual time; the Ray engine lives in `cluster/`."""
