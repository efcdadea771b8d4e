"""The notebook of the examples has no outputs, and its cells run from top to bottom."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documents import ROOT

NOTEBOOK = ROOT / "examples" / "first-steps.ipynb"


def cells(kind: str) -> list[str]:
    """Return the sources of the notebook's cells of a kind."""
    tree = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(each["source"]) for each in tree["cells"] if each["cell_type"] == kind]


def test_notebook_has_no_outputs_and_names_of_its_own_cells() -> None:
    tree = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (tree["nbformat"], tree["nbformat_minor"]) == (4, 5)
    code = [each for each in tree["cells"] if each["cell_type"] == "code"]
    assert len(code) > 3 and len(cells("markdown")) > 3
    assert all(each["outputs"] == [] and each["execution_count"] is None for each in code)
    names = [each["id"] for each in tree["cells"]]
    assert len({*names}) == len(names)


@pytest.mark.slow
def test_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    script = "import matplotlib; matplotlib.use('Agg')\n" + "\n".join(cells("code"))
    script += "\nassert run.outcome == '2 of 2 terms', run.outcome\nassert len(table) == 2\n"
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", script]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
