"""What an error of a store means, by its type: whether to try again, and what to tell people."""

from __future__ import annotations

import errno
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import TypeVar
from urllib.parse import quote

from oneshot.store.address import SECRET

PASSING = {errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EREMOTEIO}  # of a network file system
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
NO_PLACE = {  # for a file, as below another file or in /proc
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}

T = TypeVar("T")


class Kind(Enum):
    """What an error means for an operation on a store.

    MISSING: there is no such file. TRANSIENT: it may pass, so the operation is tried again.
    PERMANENT: the store refuses, and will again. FOREIGN: it is not an error of the store.
    """

    MISSING = "missing"
    TRANSIENT = "transient"
    PERMANENT = "permanent"
    FOREIGN = "foreign"


class Refused(Exception):
    """An object store did not do what it was asked for; the text says what it answered."""

    def __init__(self, error: Exception, seconds: float = 0.0):
        super().__init__(_message(str(error), seconds))
        self.error = error


def classify(error: BaseException) -> Kind:
    """What an error of a file system, of obstore or of anything else means."""
    if isinstance(error, FileNotFoundError):
        return Kind.MISSING
    if isinstance(error, OSError):
        if error.errno in PASSING:
            return Kind.TRANSIENT
        return Kind.PERMANENT if error.errno in UNWRITABLE | NO_PLACE else Kind.FOREIGN
    if isinstance(error, Refused):
        return classify(error.error)
    obstore = sys.modules.get("obstore.exceptions")  # it raised nothing if it was not loaded
    if obstore is not None and isinstance(error, obstore.GenericError):
        return Kind.TRANSIENT
    if obstore is not None and isinstance(error, (obstore.BaseError, NotImplementedError)):
        return Kind.PERMANENT
    return Kind.FOREIGN


def retry(action: Callable[[], T], pauses: Iterable[float]) -> T:
    """Do something, again after each pause while its error may pass.

    Args:
        action: what to do.
        pauses: in seconds; one try more than these.

    Returns:
        What the action returns.
    """
    for pause in pauses:
        try:
            return action()
        except Exception as error:
            if classify(error) is not Kind.TRANSIENT:
                raise
        time.sleep(pause)
    return action()


def _message(text: str, seconds: float) -> str:
    """What people should read of an error of obstore: no address, no request, no secret."""
    said, _, details = text.partition("\n\nDebug source")
    said, _, body = said.partition("<")
    said = said.rpartition(" - ")[2].removeprefix("Server returned non-2xx status code: ")
    said = re.sub(r"\?\S*", "", said).rstrip(" :\n")
    code, message = (
        found[1].strip().partition("\n")[0] if found else ""
        for found in (re.search(rf"<{tag}>([^<]*)", f"<{body}") for tag in ("Code", "Message"))
    )
    why = re.search(r'message: "([^"]*)"', details) or re.search(r"\b(TimedOut)\b", details)
    more = " ".join(filter(None, (code + ":" if code and message else code, message)))
    again = f"asked again for {seconds:.0f} s" if re.search(r"after [1-9]\d* retr", text) else ""
    for part in (more, why[1] if why and not more else "", again):
        said += f" ({part})" if part else ""
    for name, value in os.environ.items():
        if re.match("AWS_|AZURE_|GOOGLE_", name) and SECRET.search(name) and len(value) > 5:
            said = said.replace(value, "...").replace(quote(value, safe=""), "...")
    return said
