"""A home and a folder in which cluster files are checked."""

from __future__ import annotations

from pathlib import Path

import pytest
import small


@pytest.fixture(autouse=True)
def in_the_project(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Paths of file_mounts begin where the command is run; nothing may find credentials or a cloud;
    a home with a token, returned.
    """
    monkeypatch.chdir(small.ROOT)
    home = tmp_path_factory.mktemp("home")
    (home / ".ray").mkdir()
    (home / ".ray/auth_token").touch(0o600)
    monkeypatch.setenv("HOME", str(home))
    for name in (
        "AWS_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ):
        monkeypatch.delenv(name, raising=False)
    return home
