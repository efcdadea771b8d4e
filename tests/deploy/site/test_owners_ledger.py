"""One ledger for each owner of data: over federations, simulations, and a change of version."""

from __future__ import annotations

import shutil
from itertools import cycle
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clients.data.sources import load_vendor_data
from clients.privacy.accounting.accounting import epsilon
from clients.privacy.ledger.spending import Spender
from deploy.cli import app
from deploy.operating.local_consortium import make_local_sites
from deploy.site.deployed_site import DeployedSite, site_at
from deploy.site.privacy_files import adopt_own_ledger, site_ledger
from deploy.site.settings import SITE_FILE, load_site
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, load_federation, with_changes
from srflm_flower.privacy.own_data import is_own_data
from srflm_flower.run.folder import create_run_folder
from strategies.errors import ConfigurationError, FederationStopped, PrivacyError
from tests.support.tiny import DELTA, conduct, records_of
from tests.support.tiny import private as private_federation

EXAMPLES = Path(__file__).parents[3] / "examples"
EPSILON = 1.6


def private(folder: Path, name: str, **changes: object) -> Federation:
    """Return a federation in which training costs the same in both roles."""
    same: dict[str, object] = {"privacy__server_steps": 2, "privacy__server_noise": 2.0}
    budget = {"privacy__epsilon": EPSILON, "privacy__metrics": "withheld"}
    return private_federation(folder, name=name, **(same | budget | changes))


def site_in(folder: Path, federation: Federation, settings: str = "") -> DeployedSite:
    """Make the site of vendor a in a federation."""
    folder.mkdir()
    (folder / "federation.toml").write_text(federation.to_toml())
    (folder / SITE_FILE).write_text(f'vendor = "a"\n{settings}')
    return site_at(folder)


def spender(site: DeployedSite) -> Spender:
    """Return the spender of the site's data, as its learner would have it."""
    data = load_vendor_data(site.federation.data_plan(), "a")
    found = site.account.spender(site.federation, "a", data)
    assert found is not None
    return found


def train(site: DeployedSite, round_number: int) -> bool:
    """Spend one round as a client; return whether the budget allowed it."""
    try:
        with spender(site).spending("client", round_number, round_number):
            return True
    except PrivacyError as error:
        assert error.code == PrivacyError.BUDGET_SPENT
        return False


@pytest.mark.parametrize("at_once", [False, True])
def test_two_federations_on_the_same_images_spend_one_budget(
    tmp_path: Path, ledger_of_this_test: Path, at_once: bool
) -> None:
    sites = [site_in(tmp_path / name, private(tmp_path, name)) for name in ("one", "two")]
    turns = (
        [site for site, _ in zip(cycle(sites), range(16), strict=False)]
        if at_once
        else [site for site in sites for _ in range(8)]
    )
    granted = [(site, train(site, n)) for n, site in enumerate(turns, start=1)]
    done = [site for site, allowed in granted if allowed]
    mechanism = private(tmp_path, "one").mechanism("a", "client")
    assert mechanism is not None
    assert EPSILON / 2 < epsilon([mechanism] * len(done), DELTA) <= EPSILON
    assert not granted[-1][1] and not granted[-2][1], "both have come to the end of it"
    assert len({site.folder for site in done}) == (2 if at_once else 1)
    assert ledger_of_this_test.exists()
    assert not [each for site in sites for each in site.folder.rglob("privacy.sqlite")]


def test_simulations_and_federations_spend_one_budget(
    tmp_path: Path, ledger_of_this_test: Path
) -> None:
    first = create_run_folder(private(tmp_path, "one", run__rounds=9), tmp_path / "r1", tmp_path)
    conduct(first)
    ended = records_of(first)
    assert 1 <= len(ended) < 9 and "privacy budget left" in ended[-1].ended
    again = create_run_folder(private(tmp_path, "two"), tmp_path / "r2", tmp_path)
    with pytest.raises(FederationStopped, match="0 usable client updates"):
        conduct(again)
    site = site_in(tmp_path / "site", private(tmp_path, "three"))
    assert site_ledger(site.settings).path == ledger_of_this_test
    books = site_ledger(site.settings).books()
    assert all(epsilon(books.history(name), DELTA) <= EPSILON for name in books.sizes)


def test_run_with_ledgers_of_its_own_does_not_go_on(tmp_path: Path) -> None:
    federation = private(tmp_path, "one")
    older = create_run_folder(federation, tmp_path / "run", tmp_path, alone=True)
    with pytest.raises(PrivacyError, match="start a new run"):
        older.require_counted(federation)
    create_run_folder(federation, tmp_path / "new", tmp_path).require_counted(federation)


# ---- exempt by name ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*.toml")), ids=lambda path: path.stem)
def test_shipped_example_counts_in_its_own_folder(path: Path) -> None:
    federation = load_federation(path)
    if federation.data.source == "files":  # folders of images, which the example does not bring
        assert is_own_data(federation)
        return
    assert not is_own_data(federation)
    if federation.data.source == "npz":
        mine = with_changes(federation, data__path=Path("/srv/hospital.npz"))
        assert is_own_data(mine), "a copy of the example with other data"
        assert is_own_data(with_changes(federation, name="ours"))


def test_made_up_images_count_in_the_folder_of_the_site(
    tmp_path: Path, ledger_of_this_test: Path
) -> None:
    site = site_in(tmp_path / "site", built_in_federation())
    settings = load_site(site.folder).model_copy(update={"vendor": "aster"})
    assert site_ledger(settings).path == site.settings.state / "privacy.sqlite"
    run = create_run_folder(built_in_federation(), tmp_path / "run", tmp_path)
    assert not run.owners_ledger.exists() and not ledger_of_this_test.exists()


# ---- settings ------------------------------------------------------------------------------------


def test_site_names_its_owners_ledger(tmp_path: Path, ledger_of_this_test: Path) -> None:
    named = '[privacy]\nledger = "../mine/uses.sqlite"\n'
    site = site_in(tmp_path / "site", private(tmp_path, "one"), named)
    assert train(site, 1)
    files = {path.name for path in (tmp_path / "mine").iterdir()}
    assert files == {"uses.sqlite", "uses.anchor"} and not ledger_of_this_test.exists()
    assert site.federation.hash == private(tmp_path, "one").hash


def test_ledger_in_a_state_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="belongs to one federation"):
        site_in(tmp_path / "s", private(tmp_path, "one"), '[privacy]\nledger = "state/x.sqlite"\n')


def test_sites_of_a_poc_are_different_owners_within_its_folder(
    tmp_path: Path, ledger_of_this_test: Path
) -> None:
    federation = private(tmp_path, "one")
    addresses = {v: f"127.0.0.1:{9000 + n}" for n, v in enumerate(federation.roster)}
    folders = make_local_sites(tmp_path / "poc", federation, addresses)
    paths = {site_ledger(load_site(folder)).path for folder in folders.values()}
    assert len(paths) == 3 and all(path.is_relative_to(tmp_path / "poc") for path in paths)
    words: list[list[object]] = [
        ["site", "join", folders["a"], tmp_path / "poc" / "consortium" / "members" / "a"],
        ["status", folders["a"], "--json"],
        ["privacy", "show", folders["a"]],
    ]
    for each in words:  # each says where the ledger lies
        output = (
            CliRunner().invoke(app, [str(word) for word in each], catch_exceptions=False).output
        )
        assert str(folders["a"] / "owner" / "privacy.sqlite") in output, each


# ---- an older version's ledger -------------------------------------------------------------------


def older_site(folder: Path, federation: Federation, rounds: int) -> DeployedSite:
    """Make a site whose ledger lies in its state folder, as older versions had it."""
    site = site_in(folder, federation)
    for n in range(1, rounds + 1):
        assert train(site, n)
    owner = site_ledger(site.settings).path.parent
    site.settings.state.mkdir(exist_ok=True)
    (owner / "privacy.sqlite").rename(site.settings.state / "privacy.sqlite")
    shutil.rmtree(owner)
    return site


def test_older_ledger_is_adopted_and_until_then_nothing_is_spent(tmp_path: Path) -> None:
    sites = [older_site(tmp_path / name, private(tmp_path, name), 1) for name in ("one", "two")]
    with pytest.raises(PrivacyError, match="srflm up"):
        spender(sites[0])
    for site in sites:
        assert adopt_own_ledger(site.settings, site.federation, {}) is not None
        assert adopt_own_ledger(site.settings, site.federation, {}) is None
    books = site_ledger(sites[0].settings).books()
    (name,) = books.sizes
    assert [use.federation for use in books.uses(name)] == [s.federation.hash for s in sites]
    while train(sites[1], 9):
        pass
    assert not train(sites[0], 9)
    assert site_ledger(sites[0].settings).spent(name, DELTA) <= EPSILON
