"""Fixtures of the tests of stores: an S3 server, and a folder on it for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import s3

from oneshot.store import object_store_client
from oneshot.store.store import Store


@pytest.fixture(scope="module")
def environment() -> Iterator[None]:
    """The credentials of the server."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def server(environment: None, s3_started: s3.Server) -> s3.Server:
    """The S3 server of all tests of this process."""
    return s3_started


@pytest.fixture
def remote(
    server: s3.Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Store:
    """A folder of its own on the server, in a store that is impatient."""
    for name, value in {"RETRY_SECONDS": 0.3, "FIRST_PAUSE": 0.01, "LONGEST_PAUSE": 0.1}.items():
        monkeypatch.setattr(object_store_client, name, value)
    folder = request.node.name.replace("[", "-").replace("]", "")
    made = Store(server.uri.replace("/results", f"/{folder}"))
    assert not made.exists("nothing")
    server.settle()
    return made
