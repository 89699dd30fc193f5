#!/usr/bin/env python3
"""Run a sweep: `python run_sweep.py quickstart`. See --help."""

import os
import sys

from oneshot.cli import main

if __name__ == "__main__":
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)
