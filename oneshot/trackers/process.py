"""The process in which a tracker lives: `python -m oneshot.trackers.process NAME`.

A tracker starts threads, prints, asks servers and may hang, which is all kept away from the driver.
What it is to log comes through its standard input, an answer a message goes to its standard output;
what it prints goes to a file.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
import traceback
from typing import IO, Any

HEAD = struct.Struct("<Q")  # the length of a message


def send(stream: IO[bytes], message: Any) -> None:
    """Write a message.

    Args:
        stream: where to.
        message: anything that can be pickled.
    """
    data = pickle.dumps(message)
    stream.write(HEAD.pack(len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read a message.

    Raises:
        EOFError: there are no more.
    """
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        raise EOFError
    (length,) = HEAD.unpack(head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)


def serve(name: str, given: IO[bytes], answers: IO[bytes]) -> None:
    """Log what comes until no more comes; the first failure ends it.

    Args:
        name: of the tracker.
        given: a Target, then entries; closed where no more come.
        answers: ("opened", where), ("logged", point_id), ("closed", "") or ("failed", why).
    """
    from oneshot.trackers import base

    try:
        tracker = base.make(name, receive(given))
        send(answers, ("opened", tracker.where))
        while True:
            try:
                entry = receive(given)
            except EOFError:
                break
            tracker.log(entry)
            send(answers, ("logged", entry.point_id))
        tracker.close()
        send(answers, ("closed", ""))
    except BaseException as error:
        traceback.print_exc()
        text = "".join(traceback.format_exception_only(error)).strip()
        send(answers, ("failed", text.splitlines()[0]))


def main() -> None:
    """Serve on the standard streams; what libraries print goes where errors go."""
    os.nice(10)  # trials come first
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.argv[1], sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
