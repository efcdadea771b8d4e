"""``site.toml``: read whole, all problems at once, and never a part of what others agreed on."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.privacy.ledger.policy import PrivacyPolicy
from deploy.site.settings import SITE_FILE, SiteSettings, load_site
from srflm_flower.federation.loading import with_changes
from strategies.errors import ConfigurationError
from tests.support.tiny import tiny_federation, write_tiny_npz


def write(folder: Path, text: str) -> Path:
    (folder / SITE_FILE).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return the folder of a site of the tiny federation."""
    folder = tmp_path / "site"
    folder.mkdir()
    federation = tiny_federation(tmp_path, ("a", "b"))
    (folder / "federation.toml").write_text(federation.to_toml())
    return write(folder, 'vendor = "a"\n')


def problem_of(folder: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_site(folder)
    return str(caught.value)


def test_vendor_is_all_that_must_be_said(site: Path) -> None:
    settings = load_site(site)
    assert settings == load_site(site / SITE_FILE)
    assert settings.vendor == "a"
    assert (settings.state, settings.identity) == (site / "state", site / "identity")
    assert settings.policy.runs_from is None
    assert not settings.policy.shares_personalised
    assert (settings.timeouts.open, settings.timeouts.commit) == (None, None)


def test_relative_paths_start_at_the_file_and_absolute_ones_stay(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(site, 'vendor = "a"\nstate = "../state"\nlogs = "/var/log/srflm"\ndata = "mine"\n')
    monkeypatch.chdir(site)
    settings = load_site(Path())
    assert settings.state.resolve() == site.parent / "state"
    assert settings.logs == Path("/var/log/srflm")
    assert settings.data == site / "mine"


def test_all_problems_are_told_at_once(site: Path) -> None:
    text = 'federation = 3\nworker = "hot"\nextra = 1\n[timeouts]\nopen = 0\n[policy]\nx = 1\n'
    problem = problem_of(write(site, text))
    assert "6 problem(s)" in problem
    for name in ("vendor", "federation", "worker", "extra", "timeouts.open", "policy.x"):
        assert f"- {name}: " in problem


@pytest.mark.parametrize(
    "text",
    [
        'vendor = "a"\nlisten = 8443\n',
        'vendor = "a"\ndevice = "tpu"\n',
        'vendor = "a"\n[policy]\nshares-personalised = "yes"\n',
        'vendor = "a"\n[policy]\nruns-from = "a"\n',
        'vendor = "a"\n[timeouts]\ncommit = inf\n',
        'vendor = "a"\n[privacy]\nmax-epsilon = 0\n',
        'vendor = "a"\n[privacy]\ndelta = 1\n',
        'vendor = "a"\n[privacy]\nmin-noise = -1\n',
        'vendor = "a"\n[privacy]\nroles = ["judge"]\n',
        'vendor = "a"\n[privacy]\nepsilon = 3\n',
        "vendor = ",
        "",
    ],
)
def test_malformed_file_is_refused(site: Path, text: str) -> None:
    assert SITE_FILE in problem_of(write(site, text))


def test_file_that_is_missing_or_no_text_is_told(site: Path, tmp_path: Path) -> None:
    assert "cannot be read" in problem_of(tmp_path / "nowhere")
    (site / SITE_FILE).write_bytes(b"\xff\xfe\x00")
    assert "not TOML" in problem_of(site)


def test_policy_is_read_as_it_is_written(site: Path) -> None:
    text = 'vendor = "a"\n[policy]\nruns-from = ["a", "b"]\nshares-personalised = true\n'
    policy = load_site(write(site, text)).policy
    assert (policy.runs_from, policy.shares_personalised) == (("a", "b"), True)
    assert load_site(write(site, 'vendor = "a"\n[policy]\nruns-from = []\n')).policy.runs_from == ()


def test_privacy_policy_is_read_as_it_is_written(site: Path) -> None:
    assert load_site(site).privacy == PrivacyPolicy()
    text = 'vendor = "a"\n[privacy]\nmax-epsilon = 2\ndelta = 1e-6\nmin-noise = 1.1\n'
    privacy = load_site(write(site, text + 'roles = ["client"]\nrequired = true\n')).privacy
    assert (privacy.max_epsilon, privacy.delta, privacy.min_noise) == (2, 1e-6, 1.1)
    assert (privacy.roles, privacy.required) == (("client",), True)


def test_own_data_and_device_change_nothing_that_was_agreed(site: Path, tmp_path: Path) -> None:
    agreed = load_site(site).load_federation()
    write_tiny_npz(tmp_path / "mine.npz", seed=5)
    write(site, f'vendor = "b"\ndata = "{tmp_path / "mine.npz"}"\ndevice = "cpu"\n')
    own = load_site(site).load_federation()
    assert own.hash == agreed.hash
    assert own.run.device == "cpu"
    assert getattr(own.data, "path", None) == tmp_path / "mine.npz"


def test_stranger_has_no_site(site: Path) -> None:
    settings = load_site(write(site, 'vendor = "x"\n'))
    with pytest.raises(ConfigurationError, match="'x'"):
        settings.load_federation()


def test_phantoms_need_no_data_of_ones_own(site: Path, tmp_path: Path) -> None:
    federation = with_changes(tiny_federation(tmp_path, ("a", "b")), data={"source": "phantom"})
    (site / "federation.toml").write_text(federation.to_toml())
    settings = load_site(write(site, 'vendor = "a"\ndata = "mine"\n'))
    assert isinstance(settings, SiteSettings)
    with pytest.raises(ConfigurationError, match="phantoms"):
        settings.load_federation()


# ---- the PACS ----------------------------------------------------------------------------------


def test_site_without_a_pacs_is_read_as_before(site: Path) -> None:
    assert load_site(site).pacs is None
    assert load_site(site) == SiteSettings.model_validate(load_site(site).model_dump())


def test_files_of_the_pacs_start_at_the_sites_folder(site: Path) -> None:
    table = '[pacs]\naddress = "https://p/rs/"\ncredentials = "a.toml"\nca = "/etc/ca.pem"\n'
    pacs = load_site(write(site, f'vendor = "a"\n{table}')).pacs
    assert pacs is not None and not pacs.store_results
    assert (pacs.address, pacs.credentials) == ("https://p/rs", site / "a.toml")
    assert pacs.ca == Path("/etc/ca.pem")


def test_address_of_a_pacs_is_not_quoted_when_it_is_refused(site: Path) -> None:
    """Somebody may have written the password into it."""
    text = 'vendor = "a"\n[pacs]\naddress = "https://me:geheim@pacs/"\nat-once = 0\n'
    problem = problem_of(write(site, text))
    assert "2 problem(s)" in problem and "pacs.address" in problem and "pacs.at-once" in problem
    assert "geheim" not in problem
