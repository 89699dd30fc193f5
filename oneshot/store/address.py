"""Addresses of stores: a URI is taken apart, and refused if it carries credentials."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

# options of a URI, by scheme: s3 (Amazon and servers of its protocol), gs (Google), az (Azure)
OPTIONS = {
    "s3": {"region", "scheme", "endpoint_override", "force_virtual_addressing"},
    "gs": {"scheme", "endpoint_override", "project_id"},
    "az": {"account", "scheme", "endpoint_override"},
}
# the variables of the environment that hold them instead
CREDENTIALS = {
    "s3": (
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN), and AWS_ENDPOINT_URL for"
        " another server"
    ),
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY (or AZURE_STORAGE_SAS_TOKEN)",
}
SECRET = re.compile(
    r"key|secret|token|password|passwd|credential|signature|session|^sas|sig$|user|auth", re.I
)


class StoreError(ValueError):
    """A place that cannot be a store. The message repeats no secret; `help` says what to do."""

    def __init__(
        self,
        message: str,
        help: str = "use a folder, s3://bucket/folder, gs://bucket/folder or az://container/folder",
    ):
        super().__init__(message)
        self.help = help

    def __reduce__(self) -> tuple[type[StoreError], tuple[str, str]]:
        return (StoreError, (str(self), self.help))


def parse(uri: str) -> tuple[str, str, dict[str, str]]:
    """Take a URI apart: scheme ("" for a folder of this machine), bucket with folder, options.

    Raises:
        StoreError: it is no address of a store; no value that may be secret is repeated.
    """
    scheme, _, rest = uri.partition("://")
    scheme = {"gcs": "gs"}.get(scheme.lower(), scheme.lower())
    try:
        parts = urlsplit(f"x://{rest}")
    except ValueError:
        raise StoreError(f"this {scheme}:// address cannot be read") from None
    if scheme == "file":
        if parts.netloc not in ("", "localhost"):
            help = "write file:///folder, with three slashes"
            raise StoreError("file:// with the name of a machine is not a folder", help)
        return "", unquote(parts.path), {}
    if scheme not in OPTIONS:
        named = f"{scheme}://" if scheme.isalnum() else "this"
        raise StoreError(f"{named} is not a kind of store")
    bucket, options = parts.netloc, dict(parse_qsl(parts.query, keep_blank_values=True))
    if scheme == "gs" and bucket.startswith("anonymous@"):
        bucket, options["anonymous"] = bucket.removeprefix("anonymous@"), "true"
    _refuse_credentials(scheme, bucket, options)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]+", bucket):
        what = "container" if scheme == "az" else "bucket"
        raise StoreError(f"{scheme}:// without a {what}", f"write {scheme}://{what}/folder")
    known = f"options are {', '.join(sorted(OPTIONS[scheme]))}"
    if parts.fragment:
        raise StoreError("a # in an address is not understood", known)
    for name in sorted(set(options) - OPTIONS[scheme] - {"anonymous"}):
        plain = re.fullmatch(r"[a-z_]{1,30}", name)
        what = repr(name) if plain else "of that name"
        raise StoreError(f"{scheme}:// has no option {what}", known)
    folder = "/".join(part for part in unquote(parts.path).split("/") if part)
    return scheme, f"{bucket}/{folder}".rstrip("/"), options


def _refuse_credentials(scheme: str, bucket: str, options: dict[str, str]) -> None:
    """Raise StoreError where an address carries credentials."""
    user = re.search("[@:]", bucket) or "@" in options.get("endpoint_override", "")
    if user or any(map(SECRET.search, options)):
        raise StoreError(
            f"this {scheme}:// address carries credentials, which would end in logs",
            f"take them out and set {CREDENTIALS[scheme]} in the environment, on every machine that"
            " computes",
        )
