"""The configuration that is written for nginx."""

from __future__ import annotations

import inspect
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from jinja2 import UndefinedError

from deploy.edge import nginx as edge_module
from deploy.edge.machines import addresses_in_hosts, nameservers, split_address
from deploy.edge.nginx import (
    FLEET_CALLS,
    Peer,
    check_configuration,
    find_nginx,
    flower_key_header,
    nginx_configuration,
    write_configuration,
)
from deploy.edge.template import fill
from strategies.errors import ConfigurationError
from tests.support.edges import NGINX, Pki, Sites, edge_of, key_of, needs_nginx


@needs_nginx
def test_configuration_that_nginx_cannot_use_is_refused_with_its_words(
    pki: Pki, tmp_path: Path
) -> None:
    assert NGINX is not None
    edge = replace(edge_of(pki, "a", tmp_path), identity=tmp_path / "nothing")
    write_configuration(edge)
    with pytest.raises(ConfigurationError, match="cannot load certificate"):
        check_configuration(NGINX, edge.prefix)


@needs_nginx
def test_everything_lies_under_the_prefix(sites: Sites) -> None:
    found = {path.name for path in sites.a.prefix.iterdir()}
    assert found == {"logs", "tmp", "nginx.conf", "nginx.pid"}
    mine = str(sites.a.prefix)
    for line in (sites.a.prefix / "nginx.conf").read_text().splitlines():
        for word in line.split('"')[1::2]:
            if word.startswith("/"):
                assert word.startswith((mine, str(sites.a.identity), str(sites.a.bells))), line


def test_missing_nginx_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(edge_module, "NGINX_FOLDERS", (tmp_path,))
    with pytest.raises(ConfigurationError, match="sudo apt-get install nginx-light"):
        find_nginx()


def test_key_is_written_as_flower_sends_it(pki: Pki) -> None:
    from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER
    from flwr.supercore.primitives.asymmetric import public_key_to_bytes

    private = load_ssh_private_key((pki.identity("b") / "node-a.key").read_bytes(), None)
    sent = b64encode(public_key_to_bytes(private.public_key())).decode("ascii")  # type: ignore[arg-type]
    assert {FLEET_HTTP_PUBLIC_KEY_HEADER: sent} == key_of(pki, "b")


def test_edge_closes_idle_connections_before_flower_does() -> None:
    import uvicorn

    flower = inspect.signature(uvicorn.Config).parameters["timeout_keep_alive"].default
    assert 0 < edge_module.SUPERLINK_IDLE_SECONDS < flower


def test_calls_are_all_that_flower_has_but_registration() -> None:
    from flwr.superlink.routers.fleet.router import router

    paths = {route.path.rpartition("/")[2] for route in router.routes}  # type: ignore[attr-defined]
    assert paths - set(FLEET_CALLS) == {"register-node", "unregister-node"}
    assert set(FLEET_CALLS) <= paths


@pytest.mark.parametrize(
    "change",
    [
        {"vendor": 'a"; }'},
        {"vendor": "b"},
        {"listen": "localhost:8443"},
        {"listen": "0.0.0.0"},
        {"listen": "0.0.0.0:99999"},
        {"listen": "0.0.0.0:80; }"},
        {"superlink_port": 0},
        {"body_limit": "64m; }"},
        {"body_limit": "0"},
        {"rate": 0},
        {"prefix": Path('/x"; load_module y')},
        {"identity": Path("/x/$ssl_client_s_dn")},
        {"peers": {"b}": Peer("h:1", 2, "")}},
        {"peers": {"b": Peer("h:1;", 2, "")}},
        {"peers": {"b": Peer("$http_host:1", 2, "")}},
        {"peers": {"b": Peer("h/v1/control:1", 2, "")}},
        {"peers": {"b": Peer("h", 2, "")}},
        {"peers": {"b": Peer("[h]:1", 2, "")}},
        {"peers": {"b": Peer("h:1", 1, "")}},
        {"peers": {"b": Peer("h:1", 2, ""), "c": Peer("h:1", 2, "")}},
    ],
    ids=str,
)
def test_edge_that_would_not_be_what_it_seems_is_refused(
    pki: Pki, tmp_path: Path, change: dict[str, object]
) -> None:
    with pytest.raises(ConfigurationError):
        replace(edge_of(pki, "a", tmp_path), **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["", "ssh-ed25519 AAAA", "nonsense"])
def test_node_key_that_flower_would_not_take_is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match="the node key"):
        flower_key_header(key)


def test_value_that_the_template_needs_and_does_not_get_is_an_error(
    pki: Pki, tmp_path: Path
) -> None:
    with pytest.raises(UndefinedError, match="routes"):
        fill(edge=edge_of(pki, "a", tmp_path), prefix=tmp_path, identity=tmp_path)


def test_node_key_of_two_members_is_refused(pki: Pki, tmp_path: Path) -> None:
    edge = edge_of(pki, "a", tmp_path)
    same = replace(edge.peers["c"], node_key=edge.peers["b"].node_key)
    with pytest.raises(ConfigurationError, match="two peers with one node key"):
        nginx_configuration(replace(edge, peers={**edge.peers, "c": same}))


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("10.0.0.1:8443", "10.0.0.1", 8443),
        ("Site.Example:1", "site.example", 1),
        ("[::1]:65535", "::1", 65535),
        ("[2001:DB8:0:0::7]:1", "2001:db8::7", 1),
    ],
)
def test_addresses(address: str, host: str, port: int) -> None:
    assert split_address(address) == (host, port)


@pytest.mark.parametrize(
    "address", ["[192.0.2.7]:1", "[h]:1", "::1:1", "[::1]", "[::1%lo]:1", "[::1]:0", "[[::1]]:1"]
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ConfigurationError, match="host:port"):
        split_address(address)


@pytest.mark.parametrize(
    ("listen", "directive"),
    [
        ("[::]:8443", "listen [::]:8443 ssl ipv6only=off;"),
        ("[0::0]:8443", "listen [0::0]:8443 ssl ipv6only=off;"),
        ("[2001:db8::7]:8443", "listen [2001:db8::7]:8443 ssl;"),
        ("0.0.0.0:8443", "listen 0.0.0.0:8443 ssl;"),
    ],
)
def test_edge_listens_on_both_kinds_of_addresses_where_it_listens_on_all_of_ipv6(
    pki: Pki, tmp_path: Path, listen: str, directive: str
) -> None:
    text = nginx_configuration(replace(edge_of(pki, "a", tmp_path), listen=listen))
    assert directive in [line.strip() for line in text.splitlines()]


def test_way_out_to_a_peer_with_an_ipv6_address(pki: Pki, tmp_path: Path) -> None:
    edge = edge_of(pki, "a", tmp_path)
    peer = replace(edge.peers["b"], address="[2001:DB8::7]:8443")
    named = replace(edge.peers["c"], address="c.example:8443")
    hosts = "2001:db8::8 c.example\n192.0.2.8 c.example\n"
    text = nginx_configuration(replace(edge, peers={"b": peer, "c": named}), hosts, "")
    servers = [line.strip() for line in text.splitlines() if " max_fails=0;" in line]
    assert servers[1:] == [
        f"server {address} max_fails=0;"
        for address in ("[2001:db8::7]:8443", "[2001:db8::8]:8443", "192.0.2.8:8443")
    ]


def test_names_of_this_machine_are_read_as_nginx_needs_them() -> None:
    hosts = "127.0.0.1 localhost # site\n::1 localhost ip6\nfe80::1%eth0 localhost\n10.0.0.1 A.b\n"
    assert addresses_in_hosts("localhost", hosts) == ["127.0.0.1", "::1"]
    assert addresses_in_hosts("a.b", hosts) == ["10.0.0.1"]
    assert addresses_in_hosts("site", hosts) == []
    assert nameservers("# x\nnameserver 10.0.0.1\nnameserver ::1\nnameserver fe80::1%e\n") == [
        "10.0.0.1",
        "[::1]",
    ]
