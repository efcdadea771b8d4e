"""The doctor's rules, on facts alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.doctor.codes.table import CHECKS
from deploy.doctor.facts import (
    AddressFacts,
    CertificateFacts,
    DataFacts,
    FileFacts,
    MachineFacts,
    Need,
    PeerFacts,
    PrivacyFacts,
    VersionFacts,
)
from deploy.doctor.rules.certificates import certificate_lines
from deploy.doctor.rules.data import data_lines
from deploy.doctor.rules.files import file_lines
from deploy.doctor.rules.machine import machine_lines, size
from deploy.doctor.rules.peers import address_line, peer_lines, round_line
from deploy.doctor.rules.privacy import privacy_lines
from deploy.doctor.rules.programs import version_lines
from deploy.site.diagnosis import SEVERITIES, Line, Severity

NOW = datetime(2026, 5, 17, tzinfo=UTC)
GiB = 2**30


def severity_of(code: str, lines: object) -> Severity:
    """Return the severity of the only line with this code."""
    (line,) = (each for each in lines if each.code == code)  # type: ignore[attr-defined]
    assert isinstance(line, Line)
    assert line.severity == "ok" or line.mend
    return line.severity


# ---- certificates ------------------------------------------------------------------------------


def certificate(days: float, started: float = -400) -> CertificateFacts:
    """Return one that ends in so many days."""
    return CertificateFacts(
        "site.crt",
        NOW + timedelta(days=started),
        NOW + timedelta(days=days),
        renewal="ask the consortium",
        hosts=("a.srflm.internal", "aster.example.org", "192.0.2.7", "2001:db8::7"),
    )


@pytest.mark.parametrize(
    ("days", "severity"),
    [(61, "ok"), (60, "warning"), (15, "warning"), (14, "error"), (1, "error")],
)
def test_certificate_warns_at_60_days_and_is_an_error_at_14(days: int, severity: Severity) -> None:
    lines = list(certificate_lines([certificate(days)], NOW, "aster.example.org"))
    assert severity_of("certificate.expires", lines) == severity
    assert severity_of("certificate.dates", lines) == "ok"


@given(st.floats(-500, 1000), st.floats(-500, 1000))
def test_more_days_are_never_worse(one: float, other: float) -> None:
    def worst(days: float) -> int:
        lines = certificate_lines([certificate(days)], NOW, "")
        return max(SEVERITIES.index(line.severity) for line in lines)

    few, many = sorted((one, other))
    assert worst(few) >= worst(many)


def test_certificate_of_the_future_asks_for_the_clock() -> None:
    (line,) = (
        each
        for each in certificate_lines([certificate(800, started=1)], NOW, "")
        if each.code == "certificate.dates"
    )
    assert (line.severity, line.mend) == ("error", "set the clock right, or wait")


@pytest.mark.parametrize(
    ("host", "severity"),
    [
        ("ASTER.example.org", "ok"),
        ("aster.example.org.", "ok"),
        ("192.0.2.7", "ok"),
        ("2001:DB8:0::7", "ok"),
        ("2001:db8::8", "warning"),
        ("borealis.example.org", "warning"),
    ],
)
def test_certificate_names_the_agreed_host(host: str, severity: Severity) -> None:
    lines = certificate_lines([certificate(800)], NOW, host)
    assert severity_of("certificate.names", lines) == severity


# ---- files and programs ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "owners", "severity"),
    [(7, {7}, "ok"), (0, {0}, "ok"), (0, {7}, "warning"), (8, {7}, "error"), (8, {7, 8}, "error")],
)
def test_only_the_owner_runs_a_site(user: int, owners: set[int], severity: Severity) -> None:
    lines = file_lines(FileFacts(user, frozenset(owners)))
    assert severity_of("site.owner", lines) == severity


@pytest.mark.parametrize(
    ("told", "severity"),
    [
        ("nginx version: nginx/1.22.1\n--with-http_ssl_module", "ok"),
        ("nginx version: nginx/1.20.0 --with-http_ssl_module", "ok"),
        ("nginx version: nginx/1.9.15 --with-http_ssl_module", "error"),
        ("nginx version: nginx/1.22.1", "error"),
        ("no words", "error"),
        (None, "error"),
    ],
)
def test_nginx_must_be_new_enough_and_speak_tls(told: str | None, severity: Severity) -> None:
    assert severity_of("version.nginx", version_lines(VersionFacts("x", "x", nginx=told))) == (
        severity
    )


# ---- the machine -------------------------------------------------------------------------------

MACHINE = MachineFacts(
    free_disk=100 * GiB,
    free_files=10**6,
    model=10**6,
    memory=64 * GiB,
    free_memory=32 * GiB,
    needs=Need(GiB, 2 * GiB),
    named="auto",
    device="cpu",
    cores=8,
)


@pytest.mark.parametrize(
    ("code", "changes", "severity"),
    [
        ("disk.space", {}, "ok"),
        ("disk.space", {"model": 4 * GiB}, "warning"),
        ("disk.space", {"model": 20 * GiB}, "error"),
        ("disk.space", {"free_files": 3}, "error"),
        ("disk.space", {"free_files": None}, "ok"),
        ("memory.free", {}, "ok"),
        ("memory.free", {"free_memory": GiB}, "warning"),
        ("memory.free", {"free_memory": 2 * GiB + 3 * 2**28}, "warning"),
        ("memory.free", {"free_memory": 2 * GiB + 3 * 2**28, "up": True}, "ok"),
        ("memory.free", {"needs": Need(70 * GiB, 90 * GiB)}, "error"),
        ("memory.free", {"needs": Need(70 * GiB, 90 * GiB), "device": "cuda"}, "ok"),
        ("memory.free", {"needs": None}, "ok"),
        ("gpu.present", {"named": "cuda", "device": None}, "error"),
        ("gpu.memory", {"device": "cuda", "gpu": (8 * GiB, 8 * GiB)}, "ok"),
        ("gpu.memory", {"device": "cuda", "gpu": (GiB, 8 * GiB)}, "warning"),
        ("gpu.memory", {"device": "cuda", "gpu": (2**29, 2**29)}, "error"),
        ("gpu.memory", {"device": "cuda", "gpu": (2**29, 2**29), "needs": None}, "ok"),
        ("cpu.threads", {"threads": 8}, "ok"),
        ("cpu.threads", {"threads": 9}, "warning"),
    ],
)
def test_machine_is_judged_by_what_the_network_needs(
    code: str, changes: dict[str, object], severity: Severity
) -> None:
    lines = machine_lines(replace(MACHINE, **changes))  # type: ignore[arg-type]
    assert severity_of(code, lines) == severity


def test_sizes_read_as_people_write_them() -> None:
    assert [size(each) for each in (376_460, 5e6, 1.26e9)] == ["376 kB", "5 MB", "1.3 GB"]


# ---- the network -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "listen", "others", "resolved", "severity"),
    [
        ("aster.org:8443", "0.0.0.0:8443", "borealis.org:8443", ("192.0.2.7",), "ok"),
        ("aster.org:8443", "0.0.0.0:8443", "borealis.org:8443", (), "warning"),
        ("localhost:8443", "0.0.0.0:8443", "borealis.org:8443", ("127.0.0.1",), "warning"),
        ("localhost:8443", "0.0.0.0:8443", "127.0.0.1:9443", ("127.0.0.1",), "ok"),
        ("aster.org:8443", "0.0.0.0:8443", "borealis.org:8443", ("2001:db8::7",), "warning"),
        ("[2001:db8::7]:8443", "[::]:8443", "borealis.org:8443", ("2001:db8::7",), "ok"),
        ("[::1]:8443", "[::1]:8443", "[::1]:8444", ("::1",), "ok"),
        ("[::1]:8443", "[::1]:8443", "borealis.org:8443", ("::1",), "warning"),
        ("aster.org:8443", "[::]:8443", "borealis.org:8443", ("192.0.2.7",), "ok"),
        ("aster.org:8443", "[2001:db8::7]:8443", "borealis.org:8443", ("192.0.2.7",), "warning"),
        ("aster.org:8443", "0.0.0.0:8443", "c.org:1", ("192.0.2.7", "2001:db8::7"), "ok"),
        ("aster.org", "0.0.0.0:8443", "borealis.org:8443", ("192.0.2.7",), "error"),
        ("aster.org:8443", "anywhere", "borealis.org:8443", ("192.0.2.7",), "error"),
    ],
)
def test_own_address_must_lead_others_here(
    address: str, listen: str, others: str, resolved: tuple[str, ...], severity: Severity
) -> None:
    facts = AddressFacts("a", listen, {"a": address, "b": others}, resolved)
    assert severity_of("address.own", [address_line(facts)]) == severity


def clocks(*ahead: float | None) -> dict[str, Severity]:
    """Return what is said of the clocks of so many peers, by what it is about."""
    peers = [
        PeerFacts(name, f"{name}:1", "done" if each is not None else "reach", ahead=each)
        for name, each in zip("bcdefg", ahead, strict=False)
    ]
    return {e.about: e.severity for e in peer_lines(peers) if e.code == "clock.peers"}


def test_one_clock_against_one_is_a_warning_and_most_are_an_error() -> None:
    assert clocks(0, 59, -59) == {"": "ok"}
    assert clocks(61) == {"b": "warning"}
    assert clocks(61, 0) == {"b": "warning"}
    assert clocks(61, -61) == {"b": "warning", "c": "warning"}
    assert clocks(61, 70) == {"": "warning"}
    assert clocks(301, 310) == {"": "error"}
    assert clocks(-301, -310, 0) == {"": "error"}
    assert clocks(301, 70, 0) == {"": "warning"}
    assert clocks(61, 70, 0, 0) == {"b": "warning", "c": "warning"}
    assert clocks(None, None) == {}


@given(st.lists(st.floats(-1e4, 1e4), max_size=2))
def test_clock_that_most_peers_share_is_never_called_wrong(others: list[float]) -> None:
    right = [0.0] * (len(others) + 1)
    assert "error" not in clocks(*others, *right).values()


def test_round_is_judged_by_the_slowest_peer_and_the_servers_part() -> None:
    peers = [
        PeerFacts("b", "b:1", "done", speed=1e6, round_trip=0.02),
        PeerFacts("c", "c:1", "done", speed=1e5, round_trip=0.2),
        PeerFacts("d", "d:1", "reach"),
    ]

    def judged(deadline: float) -> Severity:
        return severity_of("network.round", round_line(peers, 10**6, deadline, 4))

    # 20 s as a client, 60 s as the server.
    assert [judged(each) for each in (3600, 300, 50)] == ["ok", "warning", "error"]
    (line,) = round_line(peers, 10**6, 3600, 4)
    assert "about 20 s a round, 60 s as the server (100 kB/s to c, the slowest" in line.finding
    assert list(round_line(peers[2:], 10**6, 3600, 4)) == []


# ---- data and privacy --------------------------------------------------------------------------


def test_wrong_path_names_site_toml_and_nothing_of_the_federation() -> None:
    facts = DataFacts("files", "site.toml", "/srv/a/imges")
    (line,) = data_lines(facts)
    assert (line.code, line.severity) == ("data.path", "error")
    assert "site.toml" in line.finding and "site.toml" in line.mend
    assert "federation" not in line.finding + line.mend
    assert "/srv" not in line.model_dump_json() and "/srv/a/imges" in line.at_home


def test_data_that_a_quick_look_left_out_are_said_to_be_left_out() -> None:
    facts = DataFacts("files", "site.toml", "x", present=True, readable=True, size=10**10)
    assert [line.severity for line in data_lines(facts)] == ["ok", "ok"]
    assert "not read in a quick examination" in list(data_lines(facts))[1].finding


@pytest.mark.parametrize(
    ("findings", "severity"),
    [
        ({"error": 0, "warning": 0}, "ok"),
        ({"error": 0, "warning": 3}, "warning"),
        ({"error": 1, "warning": 3}, "error"),
    ],
)
def test_findings_of_the_data_check_count(findings: dict[str, int], severity: Severity) -> None:
    facts = DataFacts(
        "files", "site.toml", "x", True, True, was_read=True, counts={"train": 9}, findings=findings
    )
    assert severity_of("data.cases", data_lines(facts)) == severity


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({}, "ok"),
        ({"planned": 8.0, "next": 8.0}, "ok"),
        ({"planned": 8.1}, "warning"),
        ({"planned": 9.0, "next": 8.2}, "error"),
    ],
)
def test_budget_is_held_against_the_planned_rounds(
    changes: dict[str, float], severity: Severity
) -> None:
    facts = PrivacyFacts({}, None, 8.0, spent=1.0, next=2.0, planned=6.0, rounds=20)
    lines = privacy_lines(replace(facts, **changes))  # type: ignore[arg-type]
    assert severity_of("privacy.budget", lines) == severity


def test_policy_against_both_roles_is_an_error_and_against_one_a_warning() -> None:
    one = PrivacyFacts({"server": "no"}, None, None)
    both = PrivacyFacts({"server": "no", "client": "no"}, None, None)
    assert [severity_of("privacy.policy", privacy_lines(each)) for each in (one, both)] == [
        "warning",
        "error",
    ]


# ---- the table ---------------------------------------------------------------------------------


def test_every_kind_of_line_says_when_it_is_no_more_ok_and_how_to_mend_it() -> None:
    assert len(CHECKS) > 35
    for check in CHECKS.values():
        assert check.what and check.mend and (check.warns or check.errs), check
