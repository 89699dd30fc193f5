#!/usr/bin/env python3
"""Tables and figures of a sweep's results: `python analyze.py RESULTS`. See --help."""

import sys

if __name__ == "__main__":
    try:
        from oneshot.report.command import main
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(main())
