#!/usr/bin/env python3
"""Run a sweep: `python run_sweep.py quickstart`. See --help."""

import sys

from oneshot.cli import main

if __name__ == "__main__":
    sys.exit(main())
