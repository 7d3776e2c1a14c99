"""`python -m autotune.cli`, where the script `autotune` is not on the path."""

import sys

from autotune.cli import main

if __name__ == "__main__":  # Ray's workers import the main module again
    sys.exit(main())
