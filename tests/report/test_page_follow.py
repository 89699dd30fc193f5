"""A page that is kept current while rows come in: written when the table changed, never fatal."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
import small as runs
from synthetic_results import grid, write_results

from oneshot.report.page import follow
from oneshot.report.page.follow import PageWriter, page_kept


def test_a_page_is_written_when_the_table_has_changed(tmp_path: Path) -> None:
    folder, told = tmp_path / "vae_stn", []
    writer = PageWriter(folder, told.append)
    assert writer.update(running=True) is None and told == []  # no table yet
    write_results(tmp_path, grid(beta=[0.0, 1.0]))
    first = writer.update(running=True)
    assert first and '"running":true' not in first.file.read_text()  # it is compressed
    assert "connect-src 'self'" in first.file.read_text()
    assert writer.update(running=True) is None
    write_results(tmp_path, grid(beta=[0.0, 1.0, 2.0]))
    assert writer.update(running=True)
    assert writer.update(running=False, always=True)
    assert "connect-src 'none'" in first.file.read_text() and told == []


def test_a_damaged_table_is_told_once_and_leaves_the_page(tmp_path: Path) -> None:
    folder, told = write_results(tmp_path, grid(beta=[0.0, 1.0])), []
    writer = PageWriter(folder, told.append)
    written = writer.update(running=True)
    assert written
    before = written.file.read_bytes()
    (folder / "points.parquet").write_bytes(b"PAR1 not whole")
    assert writer.update(running=True) is None and writer.update(running=True) is None
    assert len(told) == 1 and told[0].startswith("page not written: cannot read")
    assert written.file.read_bytes() == before


def test_the_page_follows_in_a_thread_and_ends_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "SECONDS", 0.05)
    folder, told = tmp_path / "vae_stn", []
    with pytest.raises(KeyboardInterrupt), page_kept(folder, told.append) as page:
        write_results(tmp_path, grid(beta=[0.0]))
        runs.wait_until(page.file.exists, 60)
        assert "connect-src 'self'" in page.file.read_text()
        raise KeyboardInterrupt
    assert "connect-src 'none'" in page.file.read_text() and told == []
    assert [path.name for path in folder.glob(".*")] == []


def test_a_run_keeps_its_page(finished: Path, tmp_path: Path) -> None:
    sweep, results = runs.write_sweep(tmp_path), tmp_path / "results"
    shutil.copytree(finished / "results", results)
    page = results / sweep.stem / "report.html"
    done = runs.main(sweep, "--local", "--results", results, "--report")
    assert done.returncode == 0 and page.is_file(), done.stderr
    before = page.stat().st_mtime_ns
    time.sleep(0.01)
    again = runs.main(sweep, "--local", "--results", results, "--report")
    assert again.returncode == 0 and page.stat().st_mtime_ns > before  # twice harms nothing


def test_a_watched_sweep_is_served_while_it_is_watched(finished: Path, tmp_path: Path) -> None:
    sweep, results = runs.write_sweep(tmp_path), tmp_path / "results"
    shutil.copytree(finished / "results", results)
    done = runs.main(sweep, "--results", results, "--status", "--watch", "0.1", "--serve")
    assert done.returncode == 0, done.stderr
    assert "http://127.0.0.1:" in done.stderr and "shows the points that came in" in done.stderr
    assert (results / sweep.stem / "report.html").is_file()


def test_a_server_without_a_watch_is_refused(finished: Path, tmp_path: Path) -> None:
    sweep = runs.write_sweep(tmp_path)
    done = runs.main(sweep, "--results", finished / "results", "--serve")
    assert done.returncode == 2 and "--serve goes with --status --watch" in done.stderr
    assert "--status --watch --serve" in done.stderr
