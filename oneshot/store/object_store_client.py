"""Clients of obstore for a bucket: servers, regions and credentials by provider.

Credentials come from the environment, from the files of `aws configure`, or from the role of the
machine, never from a URI.
"""

from __future__ import annotations

import configparser
import contextlib
import datetime
import json
import os
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from oneshot.store.address import StoreError

RETRY_SECONDS = 60.0  # how long a store that fails is asked again
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0  # seconds between two tries
CONNECT_SECONDS = 5.0  # how long a server may take to accept
AWS = "https://s3.amazonaws.com"  # where the region of any bucket is told


def make(
    scheme: str, bucket: str, options: dict[str, str], retries: bool, answer_seconds: float
) -> Any:
    """A client of obstore for one bucket.

    Args:
        scheme: s3, gs or az.
        bucket: name of the bucket or container.
        options: of the address.
        retries: whether the client repeats what fails, for RETRY_SECONDS.
        answer_seconds: how long the server may be silent.

    Returns:
        A store of obstore.

    Raises:
        StoreError: the address and the environment do not say enough.
    """
    kind, arguments = ARGUMENTS[scheme](bucket, options)
    server = str(arguments.get("aws_endpoint_url_s3") or arguments.get("base_url") or "")
    server = server or str(arguments.get("endpoint") or "")
    backoff = dict(init_backoff=_delta(FIRST_PAUSE), max_backoff=_delta(LONGEST_PAUSE), base=2)
    retry = dict(max_retries=1000 if retries else 0, retry_timeout=_delta(RETRY_SECONDS))
    from obstore import store

    return getattr(store, kind)(
        bucket,
        **arguments,
        client_options=dict(
            allow_http=server.startswith("http:"),
            connect_timeout=_delta(CONNECT_SECONDS),
            read_timeout=_delta(answer_seconds),
            timeout=_delta(3600),  # of a whole answer, however large
        ),
        retry_config=retry | {"backoff": backoff},
    )


def _amazon(bucket: str, options: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """The kind of client for a bucket of S3, and its arguments."""
    virtual = options.get("force_virtual_addressing", "").lower() in ("1", "true")
    known: dict[str, Any] = profile() | {"virtual_hosted_style_request": virtual}
    server = _server(options, _environments_server())
    region = options.get("region") or (None if server else bucket_region(bucket))
    if region:
        known["region"] = region
    if server:
        named = server.replace("://", f"://{bucket}.", 1) if virtual else server
        known["aws_endpoint_url_s3"] = named
    known["disable_bulk_delete"] = True  # which not every server knows
    return "S3Store", known


def _google(bucket: str, options: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """The kind of client for a bucket of Google, and its arguments."""
    server = _server(options)
    known: dict[str, Any] = {"base_url": server} if server else {}
    if "anonymous" in options:
        nobody = dict(client_email="", private_key="", private_key_id="", disable_oauth=True)
        known["service_account_key"] = json.dumps(nobody | ({"gcs_base_url": server}))
    return "GCSStore", known


def _azure(bucket: str, options: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """The kind of client for a container of Azure, and its arguments."""
    account = options.get("account") or os.environ.get("AZURE_STORAGE_ACCOUNT_NAME")
    if not account:
        help = "add ?account=NAME, or set AZURE_STORAGE_ACCOUNT_NAME on every machine"
        raise StoreError("az:// without an account", help)
    server = _server(options, f"https://{account}.blob.core.windows.net")
    if account not in urlsplit(server).netloc.split("."):
        server += f"/{account}"  # a server of one name for all accounts
    return "AzureStore", dict(account_name=account, endpoint=server)


ARGUMENTS = {"s3": _amazon, "gs": _google, "az": _azure}


def _server(options: dict[str, str], default: str = "") -> str:
    """The server that the address names, else the default."""
    given = options.get("endpoint_override")
    return f"{options.get('scheme', 'https')}://{given}" if given else default


def _environments_server() -> str:
    """The server of S3 that the environment names, "" for Amazon's. Raises StoreError."""
    given = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    parts = urlsplit(given)
    if given and (parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc):
        help = "write http://host:port or https://host:port, and no user"
        raise StoreError("AWS_ENDPOINT_URL is not the address of a server", help)
    return given.rstrip("/")


def bucket_region(bucket: str) -> str | None:
    """The region in which a bucket of Amazon lies, which is public; None if nobody answers."""
    request = urllib.request.Request(f"{AWS}/{bucket}", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as error:  # a redirection or a refusal names it too
        headers = error.headers
    except OSError:
        return None
    return str(region) if (region := headers.get("x-amz-bucket-region")) else None


def profile() -> dict[str, Any]:
    """The keys in the file of `aws configure`, which obstore does not read."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return {}
    file = configparser.ConfigParser(interpolation=None)
    with contextlib.suppress(configparser.Error, OSError, UnicodeError):
        where = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
        file.read(os.path.expanduser(where))
    name = os.environ.get("AWS_PROFILE", "default")
    keys = ("access_key_id", "secret_access_key", "session_token")
    found = {key: file.get(name, f"aws_{key}", fallback=None) for key in keys}
    return {key: value for key, value in found.items() if value}


def _delta(seconds: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=seconds)
