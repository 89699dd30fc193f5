"""The notebooks of docs/: run from top to bottom in one kernel, and stored without outputs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import small

FOLDER = small.ROOT / "docs" / "notebooks"
NAMES = ("sweep_from_a_notebook", "draw_with_a_trained_model")
# what the first lines below a cell are written over by
PROGRESS = """
from oneshot.console.progress import Progress, State

with Progress(State("shown", 4)) as progress:
    progress.say("a line that stays")
    progress._show()
    print(repr(progress._painter._shown))
"""


def read(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))


def test_both_are_here_and_are_stored_without_outputs() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(NAMES)
    for name in NAMES:
        codes = [cell for cell in read(name)["cells"] if cell["cell_type"] == "code"]
        assert len(codes) >= 5
        assert all(not c["outputs"] and c["execution_count"] is None for c in codes), name


@pytest.mark.slow
def test_both_run_from_top_to_bottom(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one kernel, which is empty before the second; critics are those of the small sweep."""
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient: pip install -e '.[test]'")
    nbformat = pytest.importorskip("nbformat")
    for name in ("critics", "exemplars"):
        shutil.copytree(finished / f"results/store/{name}", tmp_path / f"results/store/{name}")
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "ONESHOT_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setenv("PYTHONPATH", f"{small.ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    both, second = (nbformat.read(FOLDER / f"{name}.ipynb", 4) for name in NAMES)
    first = len(both.cells)
    both.cells.append(nbformat.v4.new_code_cell(PROGRESS))
    both.cells.append(nbformat.v4.new_code_cell("%reset -f"))
    both.cells += second.cells
    client = nbclient.NotebookClient(both, timeout=500, resources={"metadata": {"path": tmp_path}})
    client.execute()
    assert (tmp_path / "results/notebook/points.parquet").is_file()
    printed = [_text(cell) for cell in both.cells if cell.cell_type == "code"]
    assert any("5 points to run" in text for text in printed)
    assert any("1 points to run, 5 have a result" in text for text in printed), printed
    assert "(20, 8, 16, 16)" in "".join(printed) and "human_distance" in printed[-1]
    pictures = [cell for cell in both.cells if "image/png" in str(cell.get("outputs"))]
    assert len(pictures) == 2
    shown = both.cells[first].outputs
    assert "a line that stays" in _text(both.cells[first])
    assert "'shown  0/4  0%" in _text(both.cells[first]), "it was painted"
    assert {"display_data", "stream"} == {output.output_type for output in shown}


def _text(cell: Any) -> str:
    """What a cell put out as text."""
    outputs = cell.outputs
    return "".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs)
