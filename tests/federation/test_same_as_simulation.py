"""A deployed federation and a simulation with the same seed: the same servers, the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import srflm_flower
from clients.models.model_store import ModelStore
from deploy.site.verification import verify_site
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation, with_changes
from tests.support.sites import run_rounds, running_sites
from tests.support.tiny import conduct, new_run, records_of, tiny_federation

pytestmark = pytest.mark.slow
REPOSITORY = Path(srflm_flower.__file__).parents[1]
PBC = REPOSITORY.parent / "shared" / "data" / "pbc" / "pbc8_28.npz"


def same_as_simulation(folder: Path, federation: Federation, rounds: int) -> None:
    federation = with_changes(federation, run__answer_deadline=600, run__work_deadline=3600)
    simulated = new_run(with_changes(federation, run__rounds=rounds), folder / "simulated")
    conduct(simulated)
    expected = records_of(simulated)
    patient = {"open": 600.0, "commit": 3600.0}  # else a busy machine makes others stand in
    with running_sites(folder / "sites", federation, timeouts=patient) as sites:
        run_rounds(sites, rounds)
        hashes = {vendor: verify_site(site).hashes for vendor, site in sites.items()}
        assert len(set(hashes.values())) == 1
        site = next(iter(sites.values()))
        found = site.state.ledger.records()
        weights = site.models.get(found[-1].model).weights
    assert [record.server for record in found] == [record.server for record in expected]
    assert [record.attempt for record in found] == [0] * rounds
    theirs = (folder / "simulated" / "state" / "server" / "models").glob("*.safetensors")
    by_name = {path.stem: path for path in theirs}
    store = ModelStore(by_name[expected[-1].model].parent)
    for name, array in store.get(expected[-1].model).weights.items():
        np.testing.assert_allclose(weights[name], array, rtol=0, atol=1e-5)


def test_three_sites_with_tiny_data(tmp_path: Path) -> None:
    if PBC.exists():
        pytest.skip("the blood cells are there: the test below says more")
    same_as_simulation(tmp_path, tiny_federation(tmp_path, ("a", "b", "c")), rounds=4)


def test_four_sites_with_blood_cells(tmp_path: Path) -> None:
    if not PBC.exists():
        pytest.skip("the PBC images are not there")
    file = REPOSITORY / "examples" / "pbc" / "dirichlet-0.5.toml"
    federation = with_changes(load_federation(file), data__max_examples=400)
    same_as_simulation(tmp_path, federation, rounds=4)
