"""sweep.json holds no secrets."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from wide_sweep import plan_of, sweep_file

from oneshot.console import manifest
from oneshot.store.store import Store


def test_no_credentials_get_into_the_manifest(tmp_path: Path) -> None:
    made = plan_of(sweep_file(tmp_path), Store(tmp_path))
    options = argparse.Namespace(
        results="s3://KEY:SECRET@bucket/x?access_key=KEY&secret_key=SECRET&region=eu",
        address="ray://me:SECRET@head:10001",
        set=["file=s3://KEY:SECRET@bucket/y?session_token=SECRET"],
        limit=3,
    )
    written = manifest.manifest(made, options, "r")["options"]
    assert "SECRET" not in json.dumps(written) and "KEY" not in json.dumps(written)
    assert written == dict(
        results=str(tmp_path), address="ray://head:10001", set=["file=s3://bucket/y"], limit=3
    )
    assert (
        manifest._without_secrets("s3://KEY:SECRET@bucket/x?region=eu&scheme=http&x=1")
        == "s3://bucket/x?region=eu&scheme=http"
    )
