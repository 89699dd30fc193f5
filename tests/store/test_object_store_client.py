"""Clients of object stores: what the address and the environment say of servers and keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import s3

from oneshot.store import object_store_client
from oneshot.store.address import StoreError, parse
from oneshot.store.store import Store


@pytest.mark.parametrize("address", ["http://user:cr3t@127.0.0.1:9000", "127.0.0.1:9000"])
def test_a_server_named_by_the_environment_is_an_address_without_a_user(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(
        StoreError, match="AWS_ENDPOINT_URL is not the address of a server"
    ) as caught:
        Store("s3://bucket/results").read("k")
    assert "cr3t" not in f"{caught.value}{caught.value.help}"


def arguments(uri: str) -> dict[str, Any]:
    """What obstore is given for a URI."""
    scheme, place, options = parse(uri)
    _, known = object_store_client.ARGUMENTS[scheme](place.partition("/")[0], options)
    return known


def test_options_and_environment_reach_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store_client, "bucket_region", lambda bucket: f"region-of-{bucket}")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AZURE_STORAGE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)
    assert arguments("s3://box/r")["region"] == "region-of-box"
    assert arguments("s3://box/r?region=x")["region"] == "x"
    own = arguments("s3://box/r?endpoint_override=h:9&scheme=http&force_virtual_addressing=true")
    assert own["aws_endpoint_url_s3"] == "http://box.h:9" and own["virtual_hosted_style_request"]
    assert "region" not in own
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://everything/")
    assert arguments("s3://box/r")["aws_endpoint_url_s3"] == "https://everything"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://files:9")
    assert arguments("s3://box/r")["aws_endpoint_url_s3"] == "http://files:9"
    named = arguments("s3://box/r?endpoint_override=h:9")
    assert named["aws_endpoint_url_s3"] == "https://h:9"
    assert arguments("gs://box/r?endpoint_override=h:9&scheme=http")["base_url"] == "http://h:9"
    assert "base_url" not in arguments("gcs://box/r".replace("gcs", "gs"))
    for uri, server in {
        "az://box/r?account=me": "https://me.blob.core.windows.net",
        "az://box/r?account=me&endpoint_override=h:9&scheme=http": "http://h:9/me",
        "az://box/r?account=me&endpoint_override=me.private.net": "https://me.private.net",
    }.items():
        assert arguments(uri)["endpoint"] == server and arguments(uri)["account_name"] == "me"
    with pytest.raises(StoreError, match="az:// without an account") as caught:
        Store("az://box/r").read("k")
    assert "AZURE_STORAGE_ACCOUNT_NAME" in caught.value.help
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "me")
    assert arguments("az://box/r")["account_name"] == "me"


def test_the_region_of_a_bucket_is_asked_for(
    server: s3.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store_client, "AWS", f"http://127.0.0.1:{server.port}")
    assert object_store_client.bucket_region("bucket") == "us-east-1"
    assert object_store_client.bucket_region("nobody") is None
    with server.faults(dict(what="403")):
        assert object_store_client.bucket_region("bucket") is None
    monkeypatch.setattr(object_store_client, "AWS", "http://127.0.0.1:1")
    assert object_store_client.bucket_region("bucket") is None


def test_keys_of_aws_configure_are_found(
    remote: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    lines = "[default]\naws_access_key_id = A\naws_secret_access_key = b%b/+\n\n[other]\n"
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(f"{lines}aws_access_key_id = C\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE", raising=False)
    assert object_store_client.profile() == {"access_key_id": "A", "secret_access_key": "b%b/+"}
    remote.write("k", b"1")
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert object_store_client.profile() == {"access_key_id": "C"}
    (tmp_path / ".aws/credentials").write_text("no such file")
    assert object_store_client.profile() == {}
