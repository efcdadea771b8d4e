"""How an edge carries a site's SuperNodes out to the peers, and what goes wrong on the way."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from deploy.edge.nginx import nginx_command, nginx_configuration, write_configuration
from deploy.processes.family import family, process_family
from deploy.simulation.private_superlink import free_port
from tests.support.edges import (
    NGINX,
    PULL,
    Pki,
    Sites,
    answers,
    call,
    edge_of,
    key_of,
    local,
    needs_nginx,
    port_of,
    running,
    superlink_process,
)
from tests.support.waiting import PATIENCE_SECONDS, wait_for


@needs_nginx
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_peer_cannot_send_the_supernode_elsewhere(sites: Sites, status: int) -> None:
    response = sites.through_both(**{"x-answer": str(status)})
    assert (response.status, response.getheader("location")) == (502, None)


@needs_nginx
@pytest.mark.parametrize("status", [401, 403, 404, 409, 500, 503])
def test_other_answers_of_a_peer_are_passed_on(sites: Sites, status: int) -> None:
    response = sites.through_both(**{"x-answer": str(status)})
    assert (response.status, response.getheader("set-cookie")) == (status, None)


@needs_nginx
def test_peer_must_be_the_one_that_is_meant(sites: Sites, tmp_path: Path) -> None:
    """Let b believe that c is at a's address: a's certificate must not do for c."""
    edge = edge_of(sites.pki, "b", tmp_path, c=f"127.0.0.1:{port_of(sites.a)}")
    with running(edge):
        port = edge.peers["c"].outbound_port
        assert call(port, local(sites.pki, "b"), PULL, key_of(sites.pki, "b")).status == 502
    assert sites.superlink.arrived == []


@contextmanager
def name_server(known: Mapping[str, str]) -> Iterator[int]:
    """Answer A queries for ``known`` names, NXDOMAIN for others; give the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                query, sender = server.recvfrom(512)
                if query == b"end":
                    return
                end = query.index(b"\0", 12)
                labels, place = [], 12
                while place < end:
                    labels.append(query[place + 1 : place + 1 + query[place]].decode())
                    place += 1 + query[place]
                found, wants_a = known.get(".".join(labels)), query[end + 1 : end + 3] == b"\0\1"
                record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4"
                answer = record + socket.inet_aton(found) if found and wants_a else b""
                flags = b"\x81\x80" if found else b"\x81\x83"
                count = b"\0\1" if answer else b"\0\0"
                head = query[:2] + flags + b"\0\1" + count + b"\0\0\0\0"
                server.sendto(head + query[12 : end + 5] + answer, sender)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"end", server.getsockname())
            thread.join()


@needs_nginx
def test_names_are_resolved_when_they_are_called(sites: Sites, tmp_path: Path) -> None:
    """Let nginx start although c's name is unknown; a's name is asked for at the call."""
    edge = edge_of(
        sites.pki, "b", tmp_path, a=f"a.example:{port_of(sites.a)}", c="nobody.example:8443"
    )
    with name_server({"a.example": "127.0.0.1"}) as port:
        text = nginx_configuration(edge, "", "nameserver 127.0.0.1\n")
        text = text.replace("resolver 127.0.0.1;", f"resolver 127.0.0.1:{port};")
        with running(edge, text):
            tls, headers = local(sites.pki, "b"), key_of(sites.pki, "b")
            assert call(edge.peers["c"].outbound_port, tls, PULL, headers).status == 502
            assert call(edge.peers["a"].outbound_port, tls, PULL, headers).status == 200
    assert len(sites.superlink.arrived) == 1


@needs_nginx
def test_name_in_etc_hosts_works_without_a_name_server(sites: Sites, tmp_path: Path) -> None:
    edge = edge_of(sites.pki, "b", tmp_path, a=f"site-a:{port_of(sites.a)}")
    with running(edge, nginx_configuration(edge, "127.0.0.1 localhost Site-A # x\n", "")):
        port = edge.peers["a"].outbound_port
        assert call(port, local(sites.pki, "b"), PULL, key_of(sites.pki, "b")).status == 200


@needs_nginx
def test_superlink_that_was_killed_is_found_again(pki: Pki, tmp_path: Path) -> None:
    superlink = free_port()
    a = edge_of(pki, "a", tmp_path, superlink)
    b = edge_of(pki, "b", tmp_path, a=f"127.0.0.1:{port_of(a)}")
    with running(a), running(b):

        def status() -> int:
            port = b.peers["a"].outbound_port
            return call(port, local(pki, "b"), PULL, key_of(pki, "b")).status

        with superlink_process(pki.identity("a"), superlink) as process:
            assert [status() for _ in range(3)] == [200] * 3
            process.kill()
            process.wait()
            assert [status() for _ in range(3)] == [502] * 3, "a status that is tried again"
        with superlink_process(pki.identity("a"), superlink):
            assert [status() for _ in range(3)] == [200] * 3, "at once"


@needs_nginx
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel ends nothing")
def test_nginx_ends_with_the_shell_above_it(pki: Pki, tmp_path: Path) -> None:
    edge = edge_of(pki, "a", tmp_path)
    with running(edge) as process:
        [nginx] = psutil.Process(process.pid).children()
        assert nginx.name() == "nginx" and nginx.children() == []
        process.kill()
        process.wait()
        assert wait_for(lambda: not answers(port_of(edge))), "the port is free"


@needs_nginx
def test_nginx_ends_with_its_family_although_it_overwrites_its_environment(
    pki: Pki, tmp_path: Path
) -> None:
    assert NGINX is not None
    edge = edge_of(pki, "a", tmp_path)
    write_configuration(edge)
    with process_family(os.environ, tmp_path / "log") as members:
        members.start(nginx_command(NGINX, edge.prefix), os.environ, tmp_path / "log")
        assert wait_for(lambda: answers(port_of(edge)))
        processes = {each for each in family(members.tag) if "nginx" in each.name()}
        assert len(processes) == 1, "it has no worker, which could outlive it"
    assert not any(each.is_running() for each in processes) and not answers(port_of(edge))


@needs_nginx
def test_exit_status_is_that_of_nginx(pki: Pki, tmp_path: Path) -> None:
    assert NGINX is not None
    edge = edge_of(pki, "a", tmp_path)
    write_configuration(edge).write_text("nonsense;")
    done = subprocess.run(
        nginx_command(NGINX, edge.prefix), capture_output=True, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == 1
