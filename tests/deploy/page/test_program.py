"""The page's program as the site starts it: light, on loopback, and not to be worn down."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from deploy.page.program import MOST_CONNECTIONS
from deploy.page.starting import command_of
from deploy.page.streams import MOST_STREAMS
from deploy.page.tokens import keep_token
from tests.deploy.page.watched import Federation, WatchedSite
from tests.support.waiting import wait_until

HEAVY = {"torch", "flwr", "numpy", "scipy", "matplotlib", "monai", "ray", "grpc", "pandas"}
REQUEST = "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def served(site: WatchedSite) -> Iterator[tuple[str, str, subprocess.Popen[bytes]]]:
    """Serve a site's page; give its address, its token, and the process."""
    config = site.config(free_port())
    token = keep_token(config.token)
    path = site.folder / "page.json"
    path.write_text(config.model_dump_json())
    with (site.folder / "logs" / "page.log").open("wb") as log:
        child = subprocess.Popen(command_of(path), stdout=log, stderr=log)
    address = f"http://127.0.0.1:{config.port}"
    try:
        wait_until(lambda: answers(address), (site.folder / "logs" / "page.log").read_text())
        yield address, token, child
    finally:
        child.terminate()
        child.wait(60)


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", trust_env=False).text == "ok\n"
    except httpx.HTTPError:
        return False


@pytest.fixture
def site(tmp_path: Path) -> WatchedSite:
    federation = Federation(("aster", "borealis", "cygnus"), private=True)
    federation.add(12)
    site = WatchedSite(tmp_path / "site", federation)
    site.note("train.local", fields=["ballot"], sent=5)
    return site


def test_program_imports_nothing_heavy(site: WatchedSite) -> None:
    """It lives as long as the site: what it imports costs every site memory."""
    path = site.folder / "page.json"
    path.write_text(site.config(8000).model_dump_json())
    script = (
        "import json, sys; from pathlib import Path; from deploy.page.app import page_app\n"
        "import deploy.page.program, deploy.page.metrics, deploy.page.rendering as rendering\n"
        "from deploy.page.config import PageConfig; from deploy.page.watching import Watcher\n"
        "config = PageConfig.model_validate_json(Path(sys.argv[1]).read_bytes())\n"
        "seen = Watcher(config).look_at_all(); rendering.page(config, seen)\n"
        "deploy.page.metrics.metrics_text(config, seen)\n"
        "print(json.dumps([len(seen.terms), sorted({n.partition('.')[0] for n in sys.modules})]))"
    )
    command = [sys.executable, "-c", script, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    terms, modules = json.loads(ended.stdout)
    assert terms == 12
    assert set(modules) & HEAVY == set()


@pytest.mark.slow
def test_page_is_served_on_loopback_to_those_who_have_the_token(site: WatchedSite) -> None:
    with served(site) as (address, token, child):
        bearer = {"Authorization": f"Bearer {token}"}
        assert httpx.get(address, trust_env=False).status_code == 401
        text = httpx.get(address, headers=bearer, trust_env=False).text
        assert "All 12 records" in text
        entered = httpx.get(f"{address}/enter?token={token}", trust_env=False)
        assert entered.status_code == 303
        child.terminate()
        assert child.wait(60) in (0, -15)
    log = (site.folder / "logs" / "page.log").read_text()
    assert token not in log, "addresses are not logged"


@pytest.mark.slow
def test_thousand_open_streams_do_not_stop_the_page(site: WatchedSite) -> None:
    with served(site) as (address, token, child), ExitStack() as held:
        port = int(address.rpartition(":")[2])
        request = REQUEST.format(path="/events", token=token).encode()
        opened: list[socket.socket] = []
        for _ in range(1000):
            stream = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            stream.sendall(request)
            opened.append(stream)
            if len(opened) == MOST_STREAMS:  # before the others come: a page may be slow
                heard = [each.recv(400) for each in opened]
                assert all(b" 200 " in each for each in heard), heard[:2]
            if len(opened) > MOST_CONNECTIONS // 2:  # those that were turned away are closed
                opened.pop(MOST_STREAMS).close()
        assert all(b" 503 " in stream.recv(400) for stream in opened[MOST_STREAMS:])
        for stream in opened[MOST_STREAMS:]:
            stream.close()
        # The page is there for others, and the streams that fit hear of a change.
        wait_until(lambda: shown(address, token), "the page is not shown")
        site.note("train.local", fields=["weights"], sent=7)
        for stream in opened[:MOST_STREAMS]:
            told = b"".join(iter_until(stream, b"event: changed"))
            assert b"event: changed" in told
        assert psutil.Process(child.pid).num_fds() < MOST_CONNECTIONS


def shown(address: str, token: str) -> bool:
    answer = httpx.get(address, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    return answer.status_code == 200


def iter_until(stream: socket.socket, wanted: bytes) -> Iterator[bytes]:
    """Yield what comes until ``wanted`` was in it, or the stream ends."""
    seen = b""
    while wanted not in seen:
        part = stream.recv(4096)
        if not part:
            return
        seen += part
        yield part
