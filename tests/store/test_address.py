"""Addresses of stores: what is refused, and what people read."""

from __future__ import annotations

import getpass
import pickle
import re
from pathlib import Path

import pytest

from oneshot.store.address import StoreError
from oneshot.store.store import Store


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIA:se/cr3t@bucket/results",
        "s3://user:cr3t@bucket/results",
        "s3://cr3t@bucket/results",
        "s3://bucket/r?access_key=a&secret_key=cr3t",
        "s3://bucket/r?session_token=cr3t",
        "s3://bucket/r?X-Amz-Signature=cr3t",
        "s3://bucket/r?endpoint_override=u:cr3t@127.0.0.1:9000",
        "gs://user:cr3t@bucket/results",
        "gs://bucket/r?access_token=cr3t",
        "gs://bucket/r?credentials=cr3t",
        "az://account:cr3t@box/results",
        "az://box/r?account_key=cr3t",
        "az://box/r?sas=cr3t",
        "az://box/r?sv=2021&sig=cr3t",
    ],
)
def test_an_address_with_credentials_is_refused_without_repeating_them(uri: str) -> None:
    with pytest.raises(StoreError, match="carries credentials") as caught:
        Store(uri)
    again = pickle.loads(pickle.dumps(caught.value))
    assert "cr3t" not in f"{again}{again.help}" and "se/" not in str(again)
    named = {"s3": "AWS_ACCESS_KEY_ID", "gs": "GOOGLE_APPLICATION_CREDENTIALS"}
    assert named.get(uri[:2], "AZURE_STORAGE_ACCOUNT_KEY") in again.help


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("ftp://host/results", "ftp:// is not a kind of store"),
        ("s3a://bucket/results", "s3a:// is not"),
        ("://x", "not a kind of store"),
        ("s3://", "s3:// without a bucket"),
        ("s3:///results", "without a bucket"),
        ("gs://?scheme=http", "gs:// without a bucket"),
        ("s3://bucket/r?regoin=x", "s3:// has no option 'regoin'"),
        ("s3://bucket/r#1", "a # in an address"),
        ("file://host/x", "name of a machine"),
        ("az://", "az:// without a container"),
        ("az://box/r?region=x", "az:// has no option 'region'"),
        ("s3://[::1/x", "cannot be read"),
    ],
)
def test_an_address_that_is_no_store_is_refused_with_help(uri: str, message: str) -> None:
    with pytest.raises(StoreError, match=re.escape(message)) as caught:
        Store(uri)
    assert caught.value.help and isinstance(caught.value, ValueError)


def test_a_path_for_people_has_no_options(tmp_path: Path) -> None:
    made = Store(
        "s3://bucket/some%20results/?endpoint_override=127.0.0.1:9000&scheme=http&region=x"
    )
    assert made.path("a/b.json") == "s3://bucket/some results/a/b.json" and made.local("a") is None
    assert (
        Store("gs://anonymous@bucket").path("a")
        == "gs://bucket/a"
        == Store("gcs://bucket/").path("a")
    )
    assert (
        Store(f"file://{tmp_path}").path("a") == str(tmp_path / "a")
        and Store(f"file://{tmp_path}").local("a") == tmp_path / "a"
    )
    assert Store("az://box/some/results?account=a").path("a") == "az://box/some/results/a"
    copy = pickle.loads(pickle.dumps(made))
    assert copy.path("k") == made.path("k") and copy.root == made.root
    local = pickle.loads(pickle.dumps(Store(f"file://{tmp_path}")))
    assert local.path("a") == str(tmp_path / "a")


def test_a_root_may_begin_in_a_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for root in ("~/results", Path("~/results"), f"~{getpass.getuser()}/results"):
        made = Store(root)
        where = Path(root).expanduser()
        assert made.local("a") == where / "a" and pickle.loads(pickle.dumps(made)).base == str(
            where
        )
    Store("~/results").write("a", b"1")
    assert (tmp_path / "results/a").read_bytes() == b"1" and not (tmp_path / "~").exists()
    with pytest.raises(StoreError, match="the home folder ~nobody-of-this-name is not") as caught:
        Store("~nobody-of-this-name/results")
    assert "in full" in caught.value.help
