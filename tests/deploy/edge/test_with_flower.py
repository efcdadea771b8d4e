"""A real SuperNode through both edges."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.flower.environment import flower_environment
from deploy.flower.programs import program
from deploy.processes.family import process_family
from deploy.simulation.private_superlink import free_port
from tests.support.commands import run
from tests.support.edges import Pki, answers, edge_of, needs_nginx, port_of, running
from tests.support.waiting import wait_for


@needs_nginx
@pytest.mark.slow
def test_supernode_becomes_active_through_both_edges(pki: Pki, tmp_path: Path) -> None:
    """Run a's SuperLink and b's SuperNode; kill the SuperLink, and see the node come back."""
    superlink, home = free_port(), tmp_path / "home"
    own, other = pki.identity("a"), pki.identity("b")
    a = edge_of(pki, "a", tmp_path, superlink)
    b = edge_of(pki, "b", tmp_path, a=f"127.0.0.1:{port_of(a)}")
    environment = flower_environment(home)
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "own"\n\n[superlink.own]\naddress = "127.0.0.1:{superlink}"\n'
        f'root-certificates = "{own / "loopback-ca.crt"}"\n'
    )
    superlink_command = [program("flower-superlink"), "--host", "127.0.0.1"]
    superlink_command += ["--port", str(superlink), "--enable-supernode-auth"]
    superlink_command += ["--ssl-ca-certfile", str(own / "loopback-ca.crt")]
    superlink_command += ["--ssl-certfile", str(own / "loopback.crt")]
    superlink_command += ["--ssl-keyfile", str(own / "loopback.key")]
    superlink_command += ["--database", str(tmp_path / "a.db")]
    superlink_command += ["--disable-runtime-dependency-installation"]
    node_command = [program("flower-supernode"), "--node-config", 'vendor="b"']
    node_command += ["--superlink", f"127.0.0.1:{b.peers['a'].outbound_port}"]
    node_command += ["--root-certificates", str(other / "loopback-ca.crt")]
    node_command += ["--auth-supernode-private-key", str(other / "node-a.key")]
    node_command += ["--host", "127.0.0.1", "--port", str(free_port())]

    def flwr(*words: str | Path) -> str:
        done = run([program("flwr"), *words], tmp_path, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def is_online() -> bool:
        return '"online"' in flwr("supernode", "list", "own", "--format", "json")

    with running(a), running(b), process_family(environment, tmp_path / "log") as members:
        process = members.start(superlink_command, environment, tmp_path / "superlink.log")
        assert wait_for(lambda: answers(superlink))
        flwr("supernode", "register", own.parent / "b" / "node-a.pub", "own", "--name", "b")
        node = members.start(node_command, environment, tmp_path / "node.log")
        assert wait_for(is_online), (tmp_path / "node.log").read_text()
        process.kill()
        process.wait()
        log = a.prefix / "logs" / "in.jsonl"
        assert wait_for(lambda: '"st":502' in log.read_text()), "the node goes on calling"
        members.start(superlink_command, environment, tmp_path / "superlink.log")
        assert wait_for(lambda: answers(superlink))
        assert wait_for(is_online), (tmp_path / "node.log").read_text()
        assert node.poll() is None
