"""`srflm compare` that is broken off leaves no worker behind."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.support.commands import SRFLM
from tests.support.tiny import tiny_federation
from tests.support.waiting import PATIENCE_SECONDS, wait_for

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_broken_off_comparison_ends_its_workers(tmp_path: Path, number: int, code: int) -> None:
    path = tmp_path / "federation.toml"
    federation = tiny_federation(tmp_path, run__rounds=500, run__answer_deadline=60)
    path.write_text(federation.to_toml(), encoding="utf-8")
    command = [SRFLM, "compare", str(path), "--seeds", "3", "--cpus", "2", "--out", "out"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert wait_for(lambda: len(list((tmp_path / "out").glob("*/ledger.jsonl"))) == 2)
        members = psutil.Process(process.pid).children(recursive=True)
        assert len(members) >= 2
        process.send_signal(number)
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code
    assert wait_for(lambda: not any(each.is_running() for each in members))
    assert "Traceback" not in output
    assert ("Interrupted" in output) == (number == signal.SIGINT)
