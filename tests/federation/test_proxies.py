"""Real sites of a hospital whose environment names proxies: no call of theirs arrives there."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.flower.environment import NO_PROXY
from tests.support.attacks.rogue import head_of
from tests.support.commands import SRFLM, run
from tests.support.sites import rounds_of, running_sites
from tests.support.tiny import tiny_federation
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


@contextmanager
def listening() -> Iterator[tuple[int, list[bytes]]]:
    """Give the port of a "proxy" that answers nothing, and the first bytes of each connection."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:  # closed: the test is over
                    return
                with connection:
                    connection.settimeout(60.0)
                    try:
                        heard.append(connection.recv(200))
                    except OSError as error:
                        heard.append(str(error).encode())

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1], heard
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("no_proxy", ["", "hospital.example,[::1]"])
def test_nothing_of_a_site_arrives_at_the_proxies_of_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    federation = tiny_federation(
        tmp_path, ("a", "b"), run__answer_deadline=600, run__work_deadline=3600
    )
    with listening() as (port, heard):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        # Of another kind, for which httpx needs a package that is not here.
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{port}")
        for name in NO_PROXY:
            monkeypatch.setenv(name, no_proxy)
        with running_sites(tmp_path / "sites", federation) as sites:
            for command in (("run", "--rounds", "1"), ("status", "--json"), ("doctor",)):
                done = run([SRFLM, command[0], sites["a"].folder, *command[1:]], tmp_path)
                assert done.returncode == 0, done.stdout + done.stderr
                if command[0] == "status":
                    peers = json.loads(done.stdout)["peers"]
                    assert {each["node"] for each in peers.values()} <= {"online", "reachable"}
            wait_until(lambda: min(map(rounds_of, sites.values())) == 1, "no round was committed")
            assert sorted(head_of(sites).ballots) == ["a", "b"]
        assert heard == []
        # The "proxy" is one: whoever goes by these variables arrives there.
        if not no_proxy:
            with pytest.raises(OSError):
                urllib.request.urlopen("http://127.0.0.1:1/", timeout=60)
            assert heard and heard[0].startswith(b"GET http://127.0.0.1:1/ ")
