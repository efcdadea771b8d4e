"""Who may come in through an edge, and with how much."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import ssl
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.edge.nginx import FLEET_CALLS
from tests.support.edges import (
    PULL,
    MiB,
    Pki,
    Sites,
    call,
    edge_of,
    key_of,
    local,
    needs_nginx,
    network,
    port_of,
    running,
    stand_in,
)
from tests.support.waiting import PATIENCE_SECONDS, wait_for


@needs_nginx
def test_member_with_its_own_key_comes_through(sites: Sites) -> None:
    assert sites.as_peer("b") == 200
    assert sites.as_peer("c", "c") == 200
    assert [(each.method, each.path) for each in sites.superlink.arrived] == [("POST", PULL)] * 2


@needs_nginx
@pytest.mark.parametrize("certificate", [None, "foreign-b"])
def test_without_a_certificate_of_the_consortium_nobody_comes_in(
    sites: Sites, certificate: str | None
) -> None:
    assert sites.as_peer(certificate) == 400
    assert sites.superlink.arrived == []


@needs_nginx
def test_certificate_of_the_consortium_is_not_enough(sites: Sites) -> None:
    assert sites.as_peer("d", "d") == 403
    assert sites.as_peer("d", "b") == 403
    assert sites.as_peer("d", path="/health") == 403, "not even what there is"
    assert sites.superlink.arrived == []


@needs_nginx
def test_captured_headers_are_worth_nothing_to_another_member(sites: Sites) -> None:
    assert sites.as_peer("b", "c") == 403
    assert sites.as_peer("c", "b") == 403
    assert call(port_of(sites.a), network(sites.pki, "b")).status == 403, "no key at all"
    changed = {"flwr-public-key": key_of(sites.pki, "b")["flwr-public-key"].swapcase()}
    assert call(port_of(sites.a), network(sites.pki, "b"), PULL, changed).status == 403
    elsewhere = key_of(sites.pki, "b", at="c")  # the key for another SuperLink
    assert call(port_of(sites.a), network(sites.pki, "b"), PULL, elsewhere).status == 403
    assert sites.superlink.arrived == []


@needs_nginx
@pytest.mark.parametrize(("first", "second"), [("b", "c"), ("c", "b")])
def test_second_key_header_does_not_reach_the_superlink(
    sites: Sites, first: str, second: str
) -> None:
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port_of(sites.a), timeout=PATIENCE_SECONDS, context=network(sites.pki, "b")
    )
    connection.putrequest("POST", PULL)
    for owner in (first, second):
        connection.putheader("flwr-public-key", key_of(sites.pki, owner)["flwr-public-key"])
    connection.putheader("Content-Length", "0")
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    own = key_of(sites.pki, "b")["flwr-public-key"]
    assert status in (200, 403)
    assert [each.all("flwr-public-key") for each in sites.superlink.arrived] == [[own]] * (
        status == 200
    )
    assert first == "b" or status == 403


@needs_nginx
def test_superlink_is_told_nothing_about_where_a_call_comes_from(sites: Sites) -> None:
    headers = {**key_of(sites.pki, "b"), "X-Forwarded-For": "1.2.3.4", "Forwarded": "for=1.2.3.4"}
    assert call(port_of(sites.a), network(sites.pki, "b"), PULL, headers).status == 200
    arrived = sites.superlink.arrived[0]
    assert arrived.all("x-forwarded-for") == arrived.all("forwarded") == []
    assert arrived.all("host") == ["localhost"]


REFUSED_PATHS = [
    "/",
    "/health",
    "/docs",
    "/openapi.json",
    "/v1/control/start-run",
    "/v1/control/list-runs",
    "/v1/runtime/acquire-task",
    "/v1/fleet/register-node",
    "/v1/fleet/unregister-node",
    "/v1/fleet/",
    "/v1/fleet",
    "/v1/fleet/../control/start-run",
    "/v1/fleet/pull-messages/../../control/start-run",
    "/v1/fleet/%2e%2e/control/start-run",
    "/v1/fleet/..%2fcontrol/start-run",
    "/v1/fleet/.%2e/control/start-run",
    "//v1/control/start-run",
    "/v1//control/start-run",
    "/v1/control/../fleet/pull-messages",
    "/v1/fleet/./pull-messages",
    "//v1/fleet/pull-messages",
    "/v1/fleet//pull-messages",
    "/v1/fleet/pull-messages/",
    "/v1/fleet/pull-messages?x=1",
    "/v1/fleet/pull-messages;x",
    "/v1/fleet/pull-messages%00",
    "/v1/fleet/pull%2dmessages",
    "/v1/FLEET/pull-messages",
    "/v1/fleet/Pull-Messages",
    "/V1/CONTROL/start-run",
    "\\v1\\control\\start-run",
]


@needs_nginx
@pytest.mark.parametrize("path", REFUSED_PATHS)
def test_anything_but_the_fleet_calls_is_refused(sites: Sites, path: str) -> None:
    assert sites.as_peer("b", path=path) in (400, 404)
    port, tls = sites.b.peers["a"].outbound_port, local(sites.pki, "b")
    assert call(port, tls, path, key_of(sites.pki, "b")).status in (400, 404)
    assert sites.superlink.arrived == []


@needs_nginx
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_only_post_is_let_through(sites: Sites, method: str) -> None:
    assert sites.as_peer("b", method=method) == 405
    assert sites.superlink.arrived == []


@needs_nginx
@pytest.mark.parametrize("name", FLEET_CALLS)
def test_every_call_of_a_supernode_is_let_through(sites: Sites, name: str) -> None:
    assert sites.as_peer("b", path=f"/v1/fleet/{name}") == 200
    assert [each.path for each in sites.superlink.arrived] == [f"/v1/fleet/{name}"]


@needs_nginx
def test_nothing_older_than_tls_1_3_is_spoken(sites: Sites) -> None:
    for port, tls in (
        (port_of(sites.a), network(sites.pki, "b")),
        (sites.b.peers["a"].outbound_port, local(sites.pki, "b")),
    ):
        assert call(port, tls, PULL, key_of(sites.pki, "b")).status == 200
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            call(port, tls, PULL, key_of(sites.pki, "b"))
    assert len(sites.superlink.arrived) == 2


@needs_nginx
def test_log_says_who_was_refused_and_leaves_idle_polls_out(sites: Sites) -> None:
    log = sites.a.prefix / "logs" / "in.jsonl"

    def lines() -> list[tuple[object, ...]]:
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        return [tuple(row[key] for key in ("cert", "key_owner", "uri", "st")) for row in rows]

    assert sites.as_peer("b") == 200
    assert sites.as_peer("c", path="/v1/fleet/get-fab") == 403
    assert wait_for(lambda: ("CN=c", "b", "/v1/fleet/get-fab", 403) in lines())
    assert [row for row in lines() if row[2:] == (PULL, 200)] == []


@needs_nginx
def test_body_above_the_limit_does_not_reach_the_superlink(sites: Sites) -> None:
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port_of(sites.a), timeout=PATIENCE_SECONDS, context=network(sites.pki, "b")
    )
    headers = {**key_of(sites.pki, "b"), "Content-Length": str(16 * MiB + 1)}
    connection.putrequest("POST", "/v1/fleet/push-object")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(b"only the beginning")
    assert connection.getresponse().status == 413
    connection.close()
    assert sites.superlink.arrived == []


@needs_nginx
def test_body_of_unknown_length_is_refused_before_it_reaches_the_superlink(sites: Sites) -> None:
    for port, tls in (
        (port_of(sites.a), network(sites.pki, "b")),
        (sites.b.peers["a"].outbound_port, local(sites.pki, "b")),
    ):
        with closing(
            http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS, context=tls)
        ) as c:
            c.request("POST", PULL, iter([b"x"]), key_of(sites.pki, "b"))  # chunked
            assert c.getresponse().status == 411
    assert sites.superlink.arrived == []


@needs_nginx
def test_one_member_has_four_calls_at_a_time_and_others_have_theirs(sites: Sites) -> None:
    with ExitStack() as held:
        for _ in range(4):  # each is let through and waits for its second byte
            connection = http.client.HTTPSConnection(
                "127.0.0.1",
                port_of(sites.a),
                timeout=PATIENCE_SECONDS,
                context=network(sites.pki, "b"),
            )
            held.enter_context(closing(connection))
            connection.putrequest("POST", "/v1/fleet/push-object")
            for name, value in {**key_of(sites.pki, "b"), "Content-Length": "2"}.items():
                connection.putheader(name, value)
            connection.endheaders(b"x")
        assert wait_for(lambda: sites.as_peer("b") == 503)
        assert sites.as_peer("c", "c") == 200
    assert wait_for(lambda: sites.as_peer("b") == 200)


@needs_nginx
def test_too_many_calls_are_refused_so_that_they_are_tried_again(pki: Pki, tmp_path: Path) -> None:
    with stand_in(pki.identity("a")) as superlink:
        edge = replace(edge_of(pki, "a", tmp_path, superlink.port), rate=1, burst=4)
        with running(edge):
            tls, headers = network(pki, "b"), key_of(pki, "b")
            found = [call(port_of(edge), tls, PULL, headers).status for _ in range(8)]
            other = call(port_of(edge), network(pki, "c"), PULL, key_of(pki, "c")).status
    assert found[:5] == [200] * 5 and found[-1] == 503 and set(found) == {200, 503}
    assert other == 200, "each peer has its own limit"


@needs_nginx
def test_fifty_megabytes_pass_unchanged(sites: Sites) -> None:
    bodies = [os.urandom(5 * MiB) for _ in range(10)]
    for body in bodies:
        assert sites.through_both(body).status == 200
    assert [each.digest for each in sites.superlink.arrived] == [
        hashlib.sha256(body).hexdigest() for body in bodies
    ]
