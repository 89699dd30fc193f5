#!/usr/bin/env python3
"""Run a sweep: `python run_sweep.py quickstart`. See --help."""

import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
# on the head of a cluster, where cluster.yaml puts the project into ~/oneshot
SENT = os.path.join(HERE, "oneshot", "run_sweep.py")

if __name__ == "__main__":
    # `ray submit` has copied this file alone into the home: go on with the project's own, in its
    # folder
    if os.path.isfile(SENT):
        os.chdir(os.path.dirname(SENT))
        os.execv(sys.executable, [sys.executable, SENT, *sys.argv[1:]])
    try:
        from oneshot.cli import main
    except KeyboardInterrupt:
        sys.exit(130)
    status = main()
    requests = sys.modules.get("oneshot.store.request_loop")
    # its library's threads may abort an interpreter that takes itself apart
    if requests is not None and requests.was_used():
        for stream in (sys.stdout, sys.stderr):
            try:
                if stream is not None:
                    stream.flush()
            except (OSError, ValueError):  # nobody reads it any more
                pass
        os._exit(status)
    sys.exit(status)
