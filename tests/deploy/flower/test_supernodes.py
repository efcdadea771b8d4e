from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from deploy.flower.supernodes import ASK_SECONDS, QUICKEST_SECONDS, Keeper, hooks, options
from deploy.flower.supernodes_config import Link, SupernodesConfig
from deploy.processes.bell import Bell
from deploy.processes.company import LINGER_SECONDS, Company
from deploy.processes.config import load_config
from deploy.processes.pace import MAX_SECONDS
from strategies.errors import ConfigurationError
from tests.support.waiting import wait_until


def config(tmp_path: Path, **changes: Any) -> SupernodesConfig:
    link = {
        "peer": "b",
        "superlink": "127.0.0.1:1",
        "root_certificates": "root",
        "private_key": "key",
        "port": 2,
        "log": str(tmp_path / "b.log"),
    }
    whole = {
        "links": [{**link, **changes.pop("link", {})}],
        "agreed_bundles": ["0" * 64],
        "refusals": str(tmp_path / "refusals.jsonl"),
        "bells": str(tmp_path),
        "notes": str(tmp_path),
        **changes,
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(whole))
    return load_config(SupernodesConfig, path)


def test_runtime_api_is_encrypted_and_closed_to_strangers(tmp_path: Path) -> None:
    tls = {"certificate": "c", "key": "k", "root": "r"}
    whole = config(tmp_path, tls=tls, secret="s")
    given = options(whole, whole.links[0])
    assert given[given.index("--superexec-auth-secret-file") + 1] == "s"
    assert given[given.index("--ssl-certfile") + 1] == "c"
    assert given[given.index("--host") + 1] == "127.0.0.1"


def test_stock_executor_gets_no_secret_as_it_could_not_use_it(tmp_path: Path) -> None:
    whole = config(tmp_path, isolation="subprocess", secret="s")
    assert "--superexec-auth-secret-file" not in options(whole, whole.links[0])


@pytest.mark.parametrize("peer", ["../b", "", ".b", "a/b", "b\n"])
def test_peer_whose_name_is_no_file_name_is_refused(tmp_path: Path, peer: str) -> None:
    with pytest.raises(ConfigurationError):
        config(tmp_path, link={"peer": peer})


def test_peer_may_not_be_called_like_the_workers_bell(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="worker"):
        config(tmp_path, link={"peer": "worker"})


def test_unknown_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="guard"):
        config(tmp_path, guard=False)


def test_message_rings_the_worker_and_quickens_the_pace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    monkeypatch.setattr(
        "deploy.flower.supernodes.rest", lambda seconds, woken: rests.append(seconds)
    )
    whole = config(tmp_path)
    found = hooks(whole, whole.links[0])
    found.on_message()
    assert Bell(tmp_path / "worker").last_rung() > 0
    found.idle()
    assert rests[-1] < MAX_SECONDS, "a rest without a message takes the longest"


def test_ring_after_the_last_question_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[tuple[float, bool]] = []
    monkeypatch.setattr(
        "deploy.flower.supernodes.rest",
        lambda seconds, woken: rests.append((seconds, woken())),
    )
    whole = config(tmp_path)
    Company(tmp_path).want(["b"])
    found = hooks(whole, whole.links[0])
    found.idle()
    Bell(tmp_path / "b").ring()  # while the SuperNode asks, and is told that there is nothing
    found.idle()
    found.idle()
    assert [woken for _, woken in rests] == [False, True, False]


def test_member_that_knocks_without_end_does_not_make_a_supernode_ask_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("deploy.flower.supernodes.time.sleep", sleep)
    monkeypatch.setattr("deploy.flower.supernodes.rest", lambda seconds, woken: woken())
    whole = config(tmp_path)
    Company(tmp_path).want(["b"])
    found, start = hooks(whole, whole.links[0], lambda: now), now
    for _ in range(101):
        Bell(tmp_path / "b").ring()
        found.idle()
    assert now - start == pytest.approx(100 * QUICKEST_SECONDS)


def test_supernode_asks_seldom_when_no_bell_announces_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    start = time.time()
    monkeypatch.setattr(
        "deploy.flower.supernodes.rest", lambda seconds, woken: rests.append(seconds)
    )
    whole = config(tmp_path)
    Company(tmp_path).want(["b"])
    for quiet in (0.0, 6.0, 60.0):
        times = chain([start], repeat(start + quiet))
        hooks(whole, whole.links[0], lambda times=times: next(times)).idle()
    assert rests == pytest.approx([ASK_SECONDS, 1.8, MAX_SECONDS], abs=0.1)


def test_supernode_that_nobody_wants_asks_itself_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[int] = []
    monkeypatch.setattr("deploy.flower.supernodes.os.kill", lambda _, number: ends.append(number))
    monkeypatch.setattr("deploy.flower.supernodes.time.sleep", lambda _: None)
    monkeypatch.setattr("deploy.flower.supernodes.rest", lambda *_: None)
    monkeypatch.setattr("deploy.processes.company.LINGER_SECONDS", 0.0)
    whole = config(tmp_path)
    found = hooks(whole, whole.links[0])
    Company(tmp_path).want(["b"])
    found.idle()
    assert ends == []
    Company(tmp_path).want(["c"])
    found.idle()
    assert ends == [signal.SIGTERM]


def test_peer_that_waits_for_its_reply_is_not_left_and_the_worker_is_reminded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[int] = []
    ahead = 0.0
    start = time.time()
    monkeypatch.setattr("deploy.flower.supernodes.os.kill", lambda _, number: ends.append(number))
    monkeypatch.setattr("deploy.flower.supernodes.time.sleep", lambda _: None)
    monkeypatch.setattr("deploy.flower.supernodes.rest", lambda *_: None)
    whole = config(tmp_path)
    found = hooks(whole, whole.links[0], lambda: start + ahead)
    bell = Bell(tmp_path / "worker")
    found.on_message()
    bell_of_the_message = bell.last_rung()
    found.waiting()
    assert not bell.rung_since(bell_of_the_message), "not at every look"
    ahead = 2 * LINGER_SECONDS  # the worker has been starting, or training, for so long
    found.waiting()
    assert bell.rung_since(bell_of_the_message), "the worker may have ended meanwhile"
    found.idle()
    assert ends == [], "the peer has been waiting until now"
    ahead = 4 * LINGER_SECONDS
    found.idle()
    assert ends == [signal.SIGTERM]


class WaitingKeeper(Keeper):
    """A keeper whose SuperNodes wait for the end of their input, and then end as if not wanted."""

    started: list[subprocess.Popen[bytes]]

    def _start(self, link: Link) -> Any:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.started.append(child)
        return child


def let_end(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    with suppress(BrokenPipeError), child.stdin:  # it may have ended
        child.stdin.write(b"\n")


def keeper(tmp_path: Path, asked: float, ready: float) -> WaitingKeeper:
    made = WaitingKeeper(config(tmp_path), asked, ready)
    made.started = []
    return made


def test_keeper_ends_when_nobody_wants_a_supernode(tmp_path: Path) -> None:
    kept = keeper(tmp_path, 0.0, 0.0)
    kept.keep()
    assert kept.started == []


def test_keeper_that_took_long_to_start_connects_to_whoever_knocked_before(tmp_path: Path) -> None:
    asked = time.time() - 3 * LINGER_SECONDS
    for rung in (asked - 1, asked + LINGER_SECONDS):
        (tmp_path / "b").touch()
        os.utime(tmp_path / "b", (rung, rung))
        kept = keeper(tmp_path, asked, time.time())
        running = threading.Thread(target=kept.keep)
        running.start()
        wait_until(lambda kept=kept: kept.started, "nobody is connected")
        kept.stopping = True
        running.join()
        let_end(kept.started[0])
        assert kept.started[0].wait() == -signal.SIGTERM


def test_keeper_stays_until_its_last_supernode_has_ended(tmp_path: Path) -> None:
    company = Company(tmp_path)
    company.want(["b"])
    kept = keeper(tmp_path, 0.0, 0.0)
    running = threading.Thread(target=kept.keep)
    running.start()
    wait_until(lambda: kept.started, "nobody is connected")
    company.want(())  # but the SuperNode still answers a message
    running.join(1.0)
    assert running.is_alive()
    company.want(["b"])  # wanted again, when it has just decided to end
    let_end(kept.started[0])
    wait_until(lambda: len(kept.started) == 2, "the second call for it was lost")
    company.want(())
    let_end(kept.started[1])
    running.join()
