"""Runs the command line: `python -m mirg_rewards`."""

import sys

from mirg_rewards.cli import main

if __name__ == "__main__":
    sys.exit(main())
