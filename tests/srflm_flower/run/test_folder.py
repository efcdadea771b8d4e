"""Rules of a run's folder: made once, held by one."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from srflm_flower.run import folder as run_folder
from srflm_flower.run.folder import RunFolder, create_run_folder
from strategies.errors import RunFolderError
from tests.support.tiny import tiny_federation


def test_runs_of_one_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder.time, "strftime", lambda _: "20300101-000000")
    federation = tiny_federation(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(create_run_folder, federation, None, tmp_path) for _ in range(16)]
    names = {each.result().path.name for each in runs}
    ends = ["", *(f"-{number}" for number in range(2, 17))]
    assert names == {f"20300101-000000-tiny{end}" for end in ends}


@pytest.mark.parametrize("out", ["file", "file/run", None])
def test_folder_that_cannot_be_made_names_out_and_no_resume(
    tmp_path: Path, out: str | None
) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = None if out is None else tmp_path / out
    with pytest.raises(RunFolderError) as caught:
        create_run_folder(tiny_federation(tmp_path), path, tmp_path / "file")
    assert caught.value.code == RunFolderError.NOT_WRITABLE
    assert "choose another folder with --out" in caught.value.mend
    assert "resume" not in caught.value.mend


def test_disk_that_is_full_before_the_run_exists_names_out_and_no_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation = tiny_federation(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFolderError) as caught:
        create_run_folder(federation, tmp_path / "run", tmp_path)
    assert "No space left" in caught.value.found and "resume" not in caught.value.mend


def test_second_launcher_is_refused_although_nobody_conducts_yet(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.launched():
        with pytest.raises(RunFolderError, match=str(os.getpid())) as caught, folder.launched():
            pass
        assert caught.value.code == RunFolderError.BUSY
        with folder.locked():  # the ServerApp's own
            pass
    with folder.launched():
        pass


def test_lock_goes_with_the_process_that_held_it(tmp_path: Path) -> None:
    script = (
        "import os; from pathlib import Path; from srflm_flower.run.folder import RunFolder\n"
        "with RunFolder(Path('run')).launched(): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False)
    assert (tmp_path / "run" / "launcher.lock").exists()
    with RunFolder(tmp_path / "run").launched():
        pass


def test_folder_in_which_no_lock_can_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    folder = RunFolder(tmp_path / "file" / "run")
    for hold in (folder.launched, folder.locked):
        with pytest.raises(RunFolderError) as caught, hold():
            pass
        assert caught.value.code == RunFolderError.NOT_WRITABLE


def test_who_conducts_a_run_clears_what_a_crash_has_left(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.server_store.mkdir(parents=True)
    left = folder.server_store / f".model.safetensors.{'0' * 32}"
    left.write_bytes(b"")
    with folder.launched():
        assert left.exists()  # a launcher alone does not know that nobody writes
        with folder.locked():
            assert not left.exists()
