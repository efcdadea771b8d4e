"""``srflm doctor``, and ``srflm up`` and ``srflm status`` with what it finds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deploy.cli import app
from deploy.site.diagnosis import Diagnosis, diagnosis_file, last_diagnosis
from strategies.errors import DeploymentError
from tests.deploy.doctor.examined_site import DATA, ExaminedSite
from tests.support.commands import SRFLM, run
from tests.support.edges import needs_nginx

pytestmark = needs_nginx


def invoke(*words: object) -> Result:
    runner = CliRunner(env={"COLUMNS": "400"})
    return runner.invoke(app, [str(word) for word in words])


# ---- srflm doctor ------------------------------------------------------------------------------


def test_exit_codes_are_0_1_and_2(site: ExaminedSite) -> None:
    assert invoke("doctor", site.folder).exit_code == 0
    site.stop("b")
    assert invoke("doctor", site.folder).exit_code == 1
    (site.folder / DATA).unlink()
    assert invoke("doctor", site.folder).exit_code == 2


def test_terminal_has_the_path_that_json_and_page_have_not(site: ExaminedSite) -> None:
    (site.folder / DATA).unlink()
    page = site.folder.parent / "ticket.html"
    shown = invoke("doctor", site.folder, "--quick", "--html", page)
    assert str(site.folder / DATA) in shown.output
    assert "data.path" in shown.output and "to mend it: correct `data` in site.toml" in shown.output
    as_json = invoke("doctor", site.folder, "--quick", "--json").output
    for told in (as_json, page.read_text(encoding="utf-8")):
        assert "data.path" in told and str(site.folder) not in told
    assert json.loads(as_json)["vendor"] == "a"
    assert Diagnosis.model_validate_json(as_json).exit_code == 2


def test_folder_that_is_no_site_is_an_error_with_a_mend(tmp_path: Path) -> None:
    shown = invoke("doctor", tmp_path)
    assert shown.exit_code == 2
    assert "site.file" in shown.output and "to mend it" in shown.output


def test_piped_output_has_no_colours(site: ExaminedSite) -> None:
    shown = run([SRFLM, "doctor", site.folder, "--quick"], site.folder)
    assert "site.file" in shown.stdout
    assert "\x1b" not in shown.stdout + shown.stderr


def test_result_is_kept_for_the_sites_user_alone(site: ExaminedSite) -> None:
    invoke("doctor", site.folder, "--quick")
    path = diagnosis_file(site.folder / "state")
    assert path.stat().st_mode & 0o777 == 0o600
    kept = last_diagnosis(site.folder / "state")
    assert kept is not None and kept.quick and kept.vendor == "a"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 9'))
    assert last_diagnosis(site.folder / "state") is None


def test_lost_state_stays_lost_for_those_who_must_notice(site: ExaminedSite) -> None:
    shutil.rmtree(site.folder / "state")
    invoke("doctor", site.folder, "--quick")
    assert not (site.folder / "state" / "doctor.json").exists()
    assert not (site.folder / "state" / "ledger.sqlite").exists()


# ---- srflm up ----------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the sites that ``srflm up`` would have started; nothing is started."""
    found: list[Path] = []

    def prepare(folder: Path, restored: bool = False) -> Path:
        found.append(folder)
        raise KeyboardInterrupt

    monkeypatch.setattr("deploy.operating.control.prepare", prepare)
    return found


def test_wrong_data_path_stops_up_and_names_site_toml(
    site: ExaminedSite, started: list[Path]
) -> None:
    site.edit("site.toml", f'data = "{DATA}"', 'data = "imges"')
    shown = invoke("up", site.folder, "--detach")
    assert isinstance(shown.exception, DeploymentError)
    assert shown.exception.code == DeploymentError.NOT_UP
    assert "data.path" in shown.exception.found
    assert f"the path is {site.folder / 'imges'}" in shown.output
    assert "to mend it: correct `data` in site.toml" in shown.output
    assert "federation" not in shown.output + str(shown.exception)
    assert started == []


@pytest.mark.parametrize("days", [40, 10])
def test_certificate_with_days_left_warns_and_does_not_stop_up(
    days: int, site: ExaminedSite, started: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The limits are moved, as the certificate's end cannot be: as if so few days were left.
    monkeypatch.setattr("deploy.doctor.rules.certificates.WARNING_DAYS", 825 + 60 - days)
    monkeypatch.setattr("deploy.doctor.rules.certificates.ERROR_DAYS", 825 + 14 - days)
    shown = invoke("up", site.folder)
    assert "certificate.expires" in shown.output and "days left" in shown.output
    assert started == [site.folder]


def test_peers_that_are_down_do_not_stop_up(site: ExaminedSite, started: list[Path]) -> None:
    site.stop("b")
    site.stop("c")
    shown = invoke("up", site.folder)
    assert shown.output.count("peer.reached") == 2
    assert started == [site.folder]


def test_emergency_start_says_what_was_not_examined(
    site: ExaminedSite, started: list[Path]
) -> None:
    (site.folder / DATA).unlink()
    shown = invoke("up", site.folder, "--skip-doctor")
    assert "Not examined: data" in shown.output
    assert started == [site.folder]


# ---- srflm status ------------------------------------------------------------------------------


def test_status_shows_the_worst_lines_with_their_time(site: ExaminedSite) -> None:
    before = " ".join(invoke("status", site.folder).output.split())
    assert "never examined" in before
    (site.folder / DATA).unlink()
    invoke("doctor", site.folder, "--quick")
    after = " ".join(invoke("status", site.folder).output.split())
    kept = last_diagnosis(site.folder / "state")
    assert kept is not None
    assert f"1 error, 0 warnings on {kept.time:%Y-%m-%d %H:%M} UTC" in after
    assert "data.path: `data` in site.toml names what does not exist" in after
    told = json.loads(invoke("status", site.folder, "--json").output)
    assert told["examined"]["lines"] and str(site.folder / DATA) not in json.dumps(told["examined"])


# ---- srflm site new ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "mistake"),
    [
        ("aster.example.org", "without a port"),
        ("https://aster.example.org:8443", "with a scheme"),
        ("aster.example.org:8443/", "with more than a host and a port"),
        ("user@aster.example.org:8443", "with more than a host and a port"),
        ("aster example.org:8443", "with blanks"),
        ("", "which is empty"),
        ("aster.example.org:0", "which is no address"),
        ("aster.example.org:70000", "which is no address"),
        ("-aster.example.org:8443", "which is no address"),
        ("192.0.2:8443", "looks like an IP and is none"),
        ("192.0.2.300:8443", "looks like an IP and is none"),
        ("0.0.0.0:8443", "at which nobody can be reached"),
        ("[::]:8443", "at which nobody can be reached"),
        ("2001:db8::7", "an IPv6 address without brackets and port"),
        ("[2001:db8::7]", "without a port"),
        ("2001:db8::7:8443", "an IPv6 address without brackets and port"),
        ("[2001:db8::g]:8443", "which is no address"),
        ("[192.0.2.7]:8443", "which is no address"),
        ("[ff02::1]:8443", "at which nobody can be reached"),
        ("[fe80::7]:8443", "which counts on one link only"),
        ("[fe80::7%eth0]:8443", "with a zone, which counts on one machine only"),
        ("[::ffff:192.0.2.7]:8443", "which is the IPv4 address 192.0.2.7"),
        ("aster..example.org:8443", "whose host no DNS can have"),
        (f"{'a' * 64}.example.org:8443", "whose host no DNS can have"),
    ],
)
def test_wrong_address_is_found_when_it_is_typed(
    address: str, mistake: str, tmp_path: Path
) -> None:
    folder = tmp_path / "site"
    command = ["site", "new", folder, "--vendor", "aster", "--roster", "aster,borealis"]
    shown = invoke(*command, "--address", address)
    assert mistake in str(shown.exception) and "host:port" in str(shown.exception)
    assert not folder.exists()


@pytest.mark.parametrize(
    "address",
    ["aster.example.org:8443", "Aster.example.org:443", "192.0.2.7:8443", "[2001:db8::7]:8443"],
)
def test_good_address_makes_a_site(address: str, tmp_path: Path) -> None:
    command = ["site", "new", tmp_path / "s", "--vendor", "aster", "--roster", "aster,borealis"]
    assert invoke(*command, "--address", address).exit_code == 0
