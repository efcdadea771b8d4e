"""Workers of an nginx whose master was killed do not keep the port."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from deploy.edge.process import end_edge
from deploy.processes.supervisor import python_module
from deploy.simulation.private_superlink import free_port
from tests.support.edges import NGINX, needs_nginx
from tests.support.waiting import PATIENCE_SECONDS, wait_for

CONFIGURATION = """
daemon off; worker_processes 1; pid {prefix}/nginx.pid; error_log {prefix}/logs/error.log;
events {{ worker_connections 64; }}
http {{
  access_log {prefix}/logs/in.jsonl;
  client_body_temp_path {prefix}/body; proxy_temp_path {prefix}/proxy;
  fastcgi_temp_path {prefix}/fcgi; uwsgi_temp_path {prefix}/uwsgi; scgi_temp_path {prefix}/scgi;
  server {{ listen 127.0.0.1:{port}; }}
}}
"""


def answers(port: int, seconds: float = PATIENCE_SECONDS) -> bool:
    def connects() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return wait_for(connects, seconds)


@needs_nginx
@pytest.mark.skipif(not Path("/proc").exists(), reason="orphans are found by their open files")
def test_worker_that_outlives_its_master_is_ended_before_the_next_start(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "logs").mkdir()
    path = tmp_path / "nginx.conf"
    path.write_text(CONFIGURATION.format(prefix=tmp_path, port=port))
    command = [str(NGINX), "-p", f"{tmp_path}/", "-e", f"{tmp_path}/logs/e.log", "-c", str(path)]
    with subprocess.Popen(command) as first:
        try:
            assert answers(port)
            # The master listens, and so the port answers, a moment before its worker is there.
            assert wait_for(lambda: psutil.Process(first.pid).children(), PATIENCE_SECONDS)
            [worker] = psutil.Process(first.pid).children()
        finally:
            first.kill()
    assert worker.is_running() and answers(port), "the worker has the port"
    second = subprocess.Popen(
        python_module("deploy.edge.process", str(tmp_path), str(tmp_path), "a", *command)
    )
    try:
        worker.wait()
        assert answers(port)
        assert psutil.Process(second.pid).name() == "nginx"
    finally:
        end_edge(tmp_path)
        second.wait()
    assert not answers(port, 0.2)
