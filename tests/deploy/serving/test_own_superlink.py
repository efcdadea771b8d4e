"""The launcher's view of its own SuperLink: a run that nobody has taken yet is not forgotten."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from clients.files.locks import locked
from deploy.door.door import Door
from deploy.flower.nouns import RunStatus
from deploy.flower.supernodes_config import WORKER_BELL
from deploy.processes.bell import Bell
from deploy.serving import own_superlink
from deploy.serving.job import ServerJob, lock_path
from deploy.serving.launcher_config import LauncherConfig
from deploy.serving.own_superlink import OwnSuperLink


class Told:
    """A Control API that tells one status of every run, or does not answer."""

    status: str | None = "pending"

    def __init__(self, *_: object) -> None: ...

    def node_ids(self) -> tuple[dict[str, int], dict[str, int]]:
        return {"a": 1, "b": 2, "c": 3}, {}

    def start_run(self, bundle: bytes, settings: object) -> int:
        return 1

    def runs(self, run: int) -> list[RunStatus]:
        if self.status is None:
            raise httpx.ConnectError("nobody answers")
        return [RunStatus(run, self.status, "", "")]


@pytest.fixture
def superlink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnSuperLink:
    monkeypatch.setattr(own_superlink, "Control", Told)
    (tmp_path / "bundle").write_bytes(b"")
    config = SimpleNamespace(
        vendor="a",
        node_keys={"a": tmp_path, "b": tmp_path, "c": tmp_path},
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


def test_others_are_called_until_the_serverapp_has_begun(
    superlink: OwnSuperLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    knocks: list[list[str]] = []

    def knock(_door: Door, peers: list[str]) -> frozenset[str]:
        knocks.append(peers)
        return frozenset({"b"})

    monkeypatch.setattr(Door, "knock", knock)
    monkeypatch.setattr(own_superlink, "AGAIN_SECONDS", 0.0)
    (tmp_path / "outcomes").mkdir()
    superlink.start(ServerJob(name="one", kind="order"))
    assert knocks == [["b", "c"]]
    (tmp_path / "a").unlink()  # the bell of the own SuperNode
    assert not superlink.ended(1, "another")
    assert len(knocks) == 1 and not (tmp_path / "a").exists()
    for _ in range(2):  # the worker starts, and takes longer than the others wait
        assert not superlink.ended(1, "one")
    assert knocks[1:] == [["b"], ["b"]], "whoever has not answered is not waited for"
    assert Bell(tmp_path / "a").last_rung() > 0
    with locked(lock_path(tmp_path, "one")):  # the ServerApp has begun, a moment ago
        for _ in range(3):
            assert not superlink.ended(1, "one")
    assert len(knocks) == 4


def test_call_is_not_repeated_all_the_time(
    superlink: OwnSuperLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    knocks: list[object] = []
    monkeypatch.setattr(Door, "knock", lambda *_: knocks.append(1) or frozenset())
    monkeypatch.setattr(own_superlink, "AGAIN_SECONDS", 3600.0)
    superlink.start(ServerJob(name="one", kind="order"))
    assert not superlink.ended(1, "one") and len(knocks) == 1
