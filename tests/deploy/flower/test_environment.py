"""Calls on this machine take no proxy, whatever the environment says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from deploy.flower.environment import NO_PROXY, directly, flower_environment, site_environment

PROXY = "http://192.0.2.1:3128"
HOSPITALS: Mapping[str, dict[str, str]] = {
    "upper": {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "ALL_PROXY": PROXY},
    "lower": {"http_proxy": PROXY, "https_proxy": PROXY, "all_proxy": PROXY},
    # httpx has no SOCKS here, and refuses to make a client.
    "socks": {"ALL_PROXY": "socks5://192.0.2.1:1080", "NO_PROXY": "127.0.0.1"},
    "unreadable": {"HTTPS_PROXY": PROXY, "NO_PROXY": "localhost,[::1]"},
    "others": {"FTP_PROXY": PROXY, "grpc_proxy": PROXY},
}


@pytest.fixture(params=HOSPITALS.values(), ids=HOSPITALS)
def hospital(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the variables of one hospital."""
    found: dict[str, str] = request.param
    for name in [*NO_PROXY, *(name for name in os.environ if name.lower().endswith("_proxy"))]:
        monkeypatch.delenv(name, raising=False)
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def proxies_of(client: httpx.Client) -> list[object]:
    """Return what the client would use instead of a direct connection."""
    return [transport for transport in client._mounts.values() if transport is not None]


def test_client_that_is_made_directly_has_no_proxy(hospital: dict[str, str]) -> None:
    before = dict(os.environ)
    with directly(), httpx.Client() as client:
        assert proxies_of(client) == []
    assert dict(os.environ) == before


def test_programs_of_a_site_are_told_of_no_proxy(hospital: dict[str, str]) -> None:
    environment = site_environment(Path("/x"))
    told = {name: environment[name] for name in environment if name.lower().endswith("_proxy")}
    assert told == {"NO_PROXY": "*", "no_proxy": "*"}
    assert environment["PATH"] and environment["FLWR_HOME"] == "/x"


def test_these_variables_are_what_a_client_trips_over() -> None:
    """The tests above attack something: as they stand, the variables change what httpx does."""
    with pytest.MonkeyPatch.context() as patch:
        for name in NO_PROXY:
            patch.delenv(name, raising=False)
        patch.setenv("HTTPS_PROXY", PROXY)
        with httpx.Client() as client:
            assert proxies_of(client) != []
        patch.setenv("NO_PROXY", "[::1]")
        with pytest.raises(httpx.InvalidURL):
            httpx.Client()
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("ALL_PROXY", "socks5://192.0.2.1:1080")
        with pytest.raises(ImportError, match="socksio"):
            httpx.Client()


def test_simulation_keeps_the_proxies_of_its_user(hospital: dict[str, str]) -> None:
    """What an own network downloads there may need them."""
    environment = flower_environment(Path("/x"))
    kept = {name: value for name, value in hospital.items() if name not in NO_PROXY}
    assert {name: environment[name] for name in kept} == kept
