"""nginx goes on while its logs are rotated, and no line of a call is lost."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from clients.files import rotation
from clients.files.rotation import all_lines, old_file
from deploy.edge.nginx import log_reopening
from deploy.page.contacts import Contacts
from deploy.processes.log_keeping import KeptLogs
from tests.support.edges import (
    Pki,
    edge_of,
    key_of,
    needs_nginx,
    network,
    port_of,
    running,
    stand_in,
)
from tests.support.edges import call as call_edge
from tests.support.waiting import wait_until

CALLS, CALLERS = 60, 2
PUSH = "/v1/fleet/push-messages"  # a poll that succeeds would not be logged


@needs_nginx
def test_every_call_is_in_the_logs_and_counted_while_they_are_rotated(
    pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page counts the bytes that leave the site by these lines."""
    monkeypatch.setattr(rotation, "MOST_BYTES", 20_000)  # fewer than 60 lines
    with stand_in(pki.identity("a")) as superlink:
        edge = edge_of(pki, "a", tmp_path, superlink.port)
        log, tls = edge.prefix / "logs" / "in.jsonl", network(pki, "b")

        def call_often() -> None:
            for _ in range(CALLS):
                assert call_edge(port_of(edge), tls, PUSH, key_of(pki, "b")).status == 200

        with running(edge) as process:
            wait_until(lambda: edge.prefix.joinpath("nginx.pid").exists(), "no process id")
            now = [0.0]
            logs = KeptLogs(tmp_path, log_reopening(edge.prefix), lambda: now[0])
            contacts = Contacts(edge.prefix / "logs")
            contacts.look()
            callers = [threading.Thread(target=call_often) for _ in range(CALLERS)]
            for caller in callers:
                caller.start()
            while any(caller.is_alive() for caller in callers):
                now[0] += 60.0
                logs.tend({"edge": process})
                contacts.look()
            for caller in callers:
                caller.join()
            assert process.poll() is None, "the signal has not ended it"
            calls = CALLS * CALLERS
            wait_until(lambda: len([*all_lines(log)]) == calls, "lines are missing")
            contacts.look()
    assert old_file(log, 1).exists(), "the test must rotate"
    assert len(superlink.arrived) == calls
    assert contacts.outgoing == sum(json.loads(line)["out"] for line in all_lines(log))
