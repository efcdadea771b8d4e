"""Members of a deployment: each has a place and keys of its own."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from srflm_flower.federation.member import Member, deployment_problems

NAMES = ("a", "b", "c")


def member(name: str, **changes: Any) -> Member:
    plain = {
        "name": name,
        "address": f"{name}.example:8443",
        "signing_key": f"{NAMES.index(name) + 1:064x}",
        "node_keys": {peer: f"ecdsa-sha2-nistp384 key-of-{name}-at-{peer}" for peer in NAMES},
    }
    return Member.model_validate({k: v for k, v in (plain | changes).items() if v is not None})


def problems(**changes: Any) -> list[str]:
    """Return the problems of three members, of which ``b`` has changes."""
    return deployment_problems([member("a"), member("b", **changes), member("c")])


def test_members_with_a_site_each_have_no_problem() -> None:
    assert problems() == []


def test_simulation_needs_no_sites() -> None:
    assert deployment_problems([Member(name=name) for name in NAMES]) == []


@pytest.mark.parametrize("field", ["address", "signing_key", "node_keys"])
def test_member_without_a_part_of_its_site_is_named(field: str) -> None:
    (problem,) = problems(**{field: None})
    assert problem.startswith(f"vendors.b.{field.replace('_', '-')}: found no")


def test_member_without_any_site_has_every_problem() -> None:
    assert len(problems(address=None, signing_key=None, node_keys=None)) == 3


def test_node_keys_are_of_all_members_and_no_others() -> None:
    keys = member("b").node_keys or {}
    lacking = {peer: key for peer, key in keys.items() if peer != "c"}
    assert len(problems(node_keys=lacking)) == 1
    assert "expected a key for each of a, b, c" in problems(node_keys=lacking)[0]
    assert len(problems(node_keys=keys | {"x": "ecdsa-sha2-nistp384 another"})) == 1


@pytest.mark.parametrize("key", ["", "ssh-ed25519 AAAA", "ecdsa-sha2-nistp256 AAAA", "AAAA"])
def test_node_key_of_another_type_is_named(key: str) -> None:
    keys = (member("b").node_keys or {}) | {"c": key}
    (problem,) = problems(node_keys=keys)
    assert problem.startswith("vendors.b.node-keys.c: found no OpenSSH key")


@pytest.mark.parametrize("field", ["address", "signing_key"])
def test_two_members_with_one_place_or_key_are_named(field: str) -> None:
    (problem,) = problems(**{field: getattr(member("a"), field)})
    assert problem.startswith(f"vendors.b.{field.replace('_', '-')}: found the same as that of a")


@pytest.mark.parametrize(
    "spellings",
    [
        ("[2001:db8::7]:8443", "[2001:DB8:0::7]:8443"),
        ("a.example:8443", "A.Example:8443"),
        ("a.example:443", "a.example:0443"),
    ],
)
def test_one_address_in_two_spellings_is_one(spellings: tuple[str, str]) -> None:
    first, second = (member(n, address=a) for n, a in zip("ab", spellings, strict=True))
    (problem,) = deployment_problems([first, second, member("c")])
    assert problem.startswith("vendors.b.address: found the same as that of a")


@pytest.mark.parametrize("other", ["[2001:db8::8]:8443", "[2001:db8::7]:8444"])
def test_other_ipv6_address_or_port_is_another(other: str) -> None:
    first, second = member("a", address="[2001:db8::7]:8443"), member("b", address=other)
    assert deployment_problems([first, second, member("c")]) == []


def test_node_key_is_used_on_one_edge_only() -> None:
    keys = member("b").node_keys or {}
    assert "found the same as that of b" in problems(node_keys=keys | {"c": keys["a"]})[0]
    taken = (member("a").node_keys or {})["b"]
    assert "found the same as that of a" in problems(node_keys=keys | {"c": taken})[0]


def test_comment_does_not_make_another_key() -> None:
    keys = member("b").node_keys or {}
    assert problems(node_keys=keys | {"c": f"{keys['a']} its comment"})


@pytest.mark.parametrize(
    "changes",
    [
        {"address": "no-port"},
        {"address": "a.example:8443/path"},
        {"address": "http://a.example:8443"},
        {"address": "a b:1"},
        {"signing_key": "0" * 63},
        {"signing_key": "0" * 65},
        {"signing_key": "G" * 64},
        {"signing_key": "0" * 64 + "\n"},
        {"node-key": {}},
    ],
)
def test_malformed_place_or_key_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        member("b", **changes)


@pytest.mark.parametrize("address", ["a.example:8443", "10.0.0.1:1", "[::1]:65535"])
def test_address_is_a_host_and_a_port(address: str) -> None:
    assert member("b", address=address).address == address
