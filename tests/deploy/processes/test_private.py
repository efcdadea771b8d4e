"""Everything that a site's programs and commands write is for the site's user alone."""

from __future__ import annotations

import importlib
import os
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from deploy.processes.private import PRIVATE, make_private, private_files

PROGRAMS = (
    "deploy.processes.supervisor",
    "deploy.processes.watchdog",
    "deploy.processes.mortal",
    "deploy.edge.process",
    "deploy.flower.supernodes",
    "deploy.flower.worker",
    "deploy.serving.launcher",
    "deploy.operating.roster_switch",
    "deploy.doctor.process",
    "deploy.page.program",
)


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def umask_now() -> int:
    now = os.umask(PRIVATE)
    os.umask(now)
    return now


@pytest.mark.parametrize("module", PROGRAMS)
def test_program_of_a_site_begins_with_a_private_umask(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO()))  # the watchdog's parent is gone
    monkeypatch.setattr(os, "execv", lambda path, words: None)  # what edge and switch become
    monkeypatch.setattr(os, "nice", lambda by: by)  # the tests themselves go on as they were
    nothing = str(tmp_path / "nothing")
    monkeypatch.setattr(sys, "argv", [module, *[nothing] * 4])
    with suppress(SystemExit):  # without a configuration it ends at once
        importlib.import_module(module).main()
    assert umask_now() == PRIVATE


def test_every_program_of_a_site_is_in_the_test_above() -> None:
    root = Path(__file__).parents[3]
    found = {
        ".".join(path.relative_to(root).with_suffix("").parts)
        for path in (root / "deploy").rglob("*.py")
        if '\nif __name__ == "__main__":' in path.read_text(encoding="utf-8")
    }
    assert found == set(PROGRAMS)


def test_umask_of_the_user_comes_back_also_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="on purpose"), private_files():
        (tmp_path / "inside").touch()
        raise ValueError("on purpose")
    (tmp_path / "outside").touch()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"inside": 0o600, "outside": 0o644}


def test_folder_of_an_older_version_is_closed_with_all_in_it(tmp_path: Path) -> None:
    other, folder = tmp_path / "other", tmp_path / "state"
    (folder / "models").mkdir(parents=True)
    for path in (other, folder / ".hidden", folder / "models" / "a", folder / "models" / "run.sh"):
        path.write_text("x")
    (folder / "models" / "run.sh").chmod(0o755)
    (folder / "link").symlink_to(other)
    (tmp_path / "beside").symlink_to(folder)
    make_private(tmp_path / "beside")
    make_private(tmp_path / "missing")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert modes.pop("link") == 0o644, "what lies elsewhere is left alone"
    assert modes == {".hidden": 0o600, "models": 0o700, "a": 0o600, "run.sh": 0o700}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
