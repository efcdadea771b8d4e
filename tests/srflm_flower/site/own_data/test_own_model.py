"""The model that a vendor trains alone: from its own images only, without noise, and at home."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message

from clients.evaluation import Evaluated
from clients.models.model_file import read_model_file
from clients.seeds import derive_seed
from clients.training import Work
from srflm_flower.federation.first_model import first_model
from srflm_flower.federation.loading import with_changes
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.memory_grid import Deliver
from srflm_flower.run.simulated_site import SimulatedSite
from srflm_flower.site.own_data.own_model import ORIGIN
from srflm_flower.site.own_data.personalisation import Personalisation
from srflm_flower.site.site import Site
from strategies.protocol import messages as wire
from strategies.weights import Weights, hash_weights
from tests.support.tiny import conduct, new_run, private, records_of, tiny_federation

ROUNDS = 3


def sites_of(run: RunFolder) -> dict[str, Site]:
    found = [SimulatedSite.at(run.path, n) for n in range(len(run.federation().roster))]
    return {each.vendor: each.site() for each in found if each is not None}


def weights_in(message: Message | None) -> set[str]:
    if message is None or not message.has_content():
        return set()
    return {hash_weights(model.weights) for model in wire.models_in(message.content).values()}


def own_hash(site: Site) -> str:
    own = site.state.own_model()
    assert own is not None
    return hash_weights(own[0])


def test_it_is_what_a_plain_loop_at_home_gives(tmp_path: Path) -> None:
    federation = tiny_federation(
        tmp_path, run__rounds=ROUNDS, personalised__own={"epochs": 2, "learning_rate": 0.02}
    )
    run = new_run(federation, tmp_path / "run")
    conduct(run)
    for site in sites_of(run).values():
        own = federation.personalised.own
        alone = replace(
            site.learner, settings=own.training(), seed=derive_seed(federation.seed, ORIGIN)
        )
        weights = first_model(federation).whole
        for number in range(1, ROUNDS + 1):
            rate = 0.02 * own.decay ** (number - 1)
            weights = alone.train(weights, Work(rate, 2), "client", number).weights
        kept = site.state.own_model()
        assert kept is not None and kept[1] == ROUNDS
        assert hash_weights(kept[0]) == hash_weights(weights)


def test_it_changes_nothing_that_others_see(tmp_path: Path) -> None:
    plain = tiny_federation(tmp_path, run__rounds=ROUNDS)
    own = with_changes(plain, personalised__own={"epochs": 1})
    heads = []
    for name, federation in (("plain", plain), ("own", own)):
        run = new_run(federation, tmp_path / name)
        conduct(run)
        heads.append([record.model for record in records_of(run)])
    assert heads[0] == heads[1]


@pytest.mark.parametrize("metrics", ["noisy", "exact"])
def test_in_a_private_federation_it_is_chosen_costs_nothing_and_never_leaves(
    tmp_path: Path, metrics: str
) -> None:
    without = private(tmp_path, run__rounds=ROUNDS, privacy__metrics=metrics)
    own = with_changes(without, personalised__own={"epochs": 3, "learning_rate": 0.05})
    spent, sent = {}, set[str]()

    def note(message: Message, deliver: Deliver) -> Message | None:
        answer = deliver(message)
        sent.update(weights_in(message), weights_in(answer))
        return answer

    for name, federation in (("without", without), ("with", own)):
        run = new_run(federation, tmp_path / name)
        conduct(run, note if name == "with" else lambda message, deliver: deliver(message))
        sites = sites_of(run)
        spent[name] = {
            vendor: site.learner.spender.ledger.spent(
                site.learner.spender.dataset, site.learner.spender.budget.delta
            )
            for vendor, site in sites.items()
            if site.learner.spender is not None
        }
    assert spent["with"] == spent["without"]
    assert len(spent["with"]) == len(without.roster)
    chosen = {vendor: site.state.best() for vendor, site in sites.items()}
    assert {best.origin for best in chosen.values() if best} == {ORIGIN}, "noise made it no worse"
    assert sent
    assert not {own_hash(site) for site in sites.values()} & sent
    for vendor in without.roster:
        assert not (run.models / f"{vendor}.safetensors").exists()


def test_a_term_that_is_asked_about_again_trains_nothing_again(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path, run__rounds=1, personalised__own={"epochs": 1})
    run = new_run(federation, tmp_path / "run")
    conduct(run)
    for site in sites_of(run).values():
        before = own_hash(site)
        site.personalisation.train_alone(1)
        assert own_hash(site) == before
        site.personalisation.train_alone(2)
        assert own_hash(site) != before
        own = site.state.own_model()
        assert own is not None
        assert all(np.isfinite(array).all() for array in own[0].values())


def test_after_a_crash_it_is_tried_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation = tiny_federation(tmp_path, run__rounds=1, personalised__own={"epochs": 1})
    site = sites_of(new_run(federation, tmp_path / "run"))["a"]

    def breaks(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Personalisation, "consider", breaks)
        with pytest.raises(KeyboardInterrupt):
            site.personalisation.train_alone(1)
    before = own_hash(site)
    site.personalisation.train_alone(1)
    best = site.state.best()
    assert best is not None and (best.origin, hash_weights(best.weights)) == (ORIGIN, before)


@pytest.mark.parametrize("is_private", [True, False])
def test_both_files_are_marked_in_a_private_federation_alone(
    tmp_path: Path, is_private: bool
) -> None:
    make = private if is_private else tiny_federation
    site = sites_of(new_run(make(tmp_path, personalised__own={"epochs": 1}), tmp_path / "run"))["a"]
    site.personalisation.train_alone(1)
    folder = tmp_path / "run" / "state" / "sites" / "a"
    for name in ("own", "best"):
        assert read_model_file(folder / f"{name}.safetensors").without_noise == is_private, name


def test_no_model_with_noise_counts_as_trained_at_home_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: set[tuple[str, bool]] = set()
    real = Personalisation.try_measured

    def note(
        own: Personalisation, weights: Weights, found: Evaluated, term: int, origin: str, home: bool
    ) -> None:
        tried.add((origin, home))
        real(own, weights, found, term, origin, home)

    monkeypatch.setattr(Personalisation, "try_measured", note)
    federation = private(tmp_path, run__rounds=2, personalised__own={"epochs": 1})
    conduct(new_run(federation, tmp_path / "run"))
    assert {origin for origin, _ in tried} >= {"local", "finetuned", ORIGIN}
    assert {origin for origin, home in tried if home} == {ORIGIN}
