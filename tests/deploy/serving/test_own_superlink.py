"""The launcher's view of its own SuperLink: a run that nobody has taken yet is not forgotten."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from deploy.flower.nouns import RunStatus
from deploy.flower.supernodes_config import WORKER_BELL
from deploy.processes.bell import Bell
from deploy.serving import own_superlink
from deploy.serving.own_superlink import LauncherConfig, OwnSuperLink


class Told:
    """A Control API that tells one status of every run, or does not answer."""

    status: str | None = "pending"

    def __init__(self, *_: object) -> None: ...

    def runs(self, run: int) -> list[RunStatus]:
        if self.status is None:
            raise httpx.ConnectError("nobody answers")
        return [RunStatus(run, self.status, "", "")]


@pytest.fixture
def superlink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnSuperLink:
    monkeypatch.setattr(own_superlink, "Control", Told)
    (tmp_path / "bundle").write_bytes(b"")
    config = SimpleNamespace(
        superlink="",
        root_certificate=tmp_path,
        bundle=tmp_path / "bundle",
        ways_out={},
        run=tmp_path,
        bells=tmp_path,
    )
    return OwnSuperLink(LauncherConfig.model_construct(**vars(config)))


@pytest.mark.parametrize(
    ("status", "ended", "rings"),
    [
        ("pending", False, True),  # the worker may have ended before it could take the run
        ("running", False, True),
        ("finished:completed", True, False),
        (None, False, False),
    ],
)
def test_worker_is_called_as_long_as_a_run_is_open(
    superlink: OwnSuperLink,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: str | None,
    ended: bool,
    rings: bool,
) -> None:
    monkeypatch.setattr(Told, "status", status)
    assert superlink.ended(1, "a task without a lock") is ended
    assert (Bell(tmp_path / WORKER_BELL).last_rung() > 0) is rings
