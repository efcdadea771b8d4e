"""The released model, trained on at home: once, from the released model, without noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from flwr.app import Message, RecordDict

from clients.learner import Learner, Trained
from clients.models.model_file import read_model_file
from clients.seeds import derive_seed
from clients.training import Work
from srflm_flower.federation.loading import with_changes
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.memory_grid import Deliver
from srflm_flower.run.simulated_site import SimulatedSite
from srflm_flower.site.own_data.fine_tuning import ORIGIN
from srflm_flower.site.own_data.own_model import ORIGIN as ALONE
from srflm_flower.site.site import Site
from strategies.errors import TrainingDiverged
from strategies.protocol import messages as wire
from strategies.weights import Weights, hash_weights
from tests.support.tiny import conduct, new_run, private, records_of, tiny_federation

ROUNDS = 2
TUNING = {"epochs": 3, "learning_rate": 0.02, "decay": 0.5}
AT_FIRST = {"personalised__standard_errors": 1000.0}  # nothing is ever clearly better or worse


def sites_of(run: RunFolder) -> list[Site]:
    found = [SimulatedSite.at(run.path, n) for n in range(len(run.federation().roster))]
    return [each.site() for each in found if each is not None]


def best_hash(site: Site) -> str:
    best = site.state.best()
    assert best is not None
    return hash_weights(best.weights)


def a_loop_at_home(site: Site, released: Weights) -> list[Weights]:
    """Train epoch by epoch at the rates of the settings, as a reader of their text would."""
    settings = site.federation.personalised.fine_tuning
    alone = replace(
        site.learner,
        settings=settings.training(),
        seed=derive_seed(site.federation.seed, ORIGIN),
        spender=None,
    )
    models, weights = [], released
    for number, rate in enumerate((0.02, 0.01, 0.005), 1):
        weights = alone.train(weights, Work(rate, 1), "client", number).weights
        models.append(weights)
    return models


def test_the_personalised_model_is_what_a_plain_loop_gives_from_the_released_one(
    tmp_path: Path,
) -> None:
    federation = tiny_federation(
        tmp_path, run__rounds=ROUNDS, personalised__fine_tuning=TUNING, **AT_FIRST
    )
    run = new_run(federation, tmp_path / "run")
    conduct(run)
    released = read_model_file(run.global_model).weights
    for site in sites_of(run):
        best = site.state.best()
        assert best is not None and (best.origin, best.measured.at_home) == (ORIGIN, True)
        assert not best.noiseless, "the federation is not private"
        assert best_hash(site) == hash_weights(a_loop_at_home(site, released)[-1])
        shared = read_model_file(run.models / f"{site.vendor}.safetensors")
        assert hash_weights(shared.weights) == best_hash(site)


def test_where_nobody_asks_for_it_a_shared_model_needs_no_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tiny_federation(tmp_path, run__rounds=1), tmp_path / "run")
    conduct(run)
    SimulatedSite.forget(run.path)
    site = sites_of(run)[0]

    def gone() -> Learner:
        raise AssertionError("the data were read")

    monkeypatch.setattr(site, "_find_learner", gone)
    request = wire.ShareBest.model_construct()
    (model,) = wire.models_in(site._share(request, Message(RecordDict(), 1, "query"))).values()
    assert hash_weights(model.weights) == best_hash(site)


def test_it_changes_nothing_that_is_agreed(tmp_path: Path) -> None:
    plain = tiny_federation(tmp_path, run__rounds=ROUNDS)
    tuned = with_changes(plain, personalised__fine_tuning=TUNING)
    heads = []
    for name, federation in (("plain", plain), ("tuned", tuned)):
        run = new_run(federation, tmp_path / name)
        conduct(run)
        heads.append([record.model for record in records_of(run)])
    assert heads[0] == heads[1]


def test_the_same_released_model_is_trained_on_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation = tiny_federation(
        tmp_path, run__rounds=ROUNDS, personalised__fine_tuning=TUNING, **AT_FIRST
    )
    run = new_run(federation, tmp_path / "run")
    conduct(run)
    site = sites_of(run)[0]
    released = read_model_file(run.global_model).weights
    before, pieces = best_hash(site), list[int]()
    real = Learner.train

    def counting(learner: Learner, *given: object, **named: object) -> Trained:
        pieces.append(1)
        return real(learner, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Learner, "train", counting)
    site.personalisation.fine_tune(released, ROUNDS)
    assert (len(pieces), best_hash(site)) == (0, before)
    # After a crash before the note, all of it is done again, with the same result.
    site.state.note_fine_tuned("another")
    site.personalisation.fine_tune(released, ROUNDS)
    assert (len(pieces), best_hash(site)) == (3, before)


def test_training_that_diverges_ends_it_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation = tiny_federation(tmp_path, run__rounds=1, **AT_FIRST)
    run = new_run(federation, tmp_path / "run")
    conduct(run)
    site = sites_of(run)[0]
    released = read_model_file(run.global_model).weights
    real = Learner.train

    def diverges(learner: Learner, weights: Weights, work: Work, *given: object) -> Trained:
        if given[-1] == 2:
            raise TrainingDiverged("a loss of nan", "a finite one", "a smaller rate")
        return real(learner, weights, work, *given)  # type: ignore[arg-type]

    pieces = [Work(0.02, 1), Work(0.01, 1), Work(0.005, 1)]
    with monkeypatch.context() as broken:
        broken.setattr(Learner, "train", diverges)
        site.personalisation.fine_tune(released, 1, pieces)
    best = site.state.best()
    assert best is not None and best.origin == ORIGIN
    first = next(iter(site.personalisation.after.models_from(released, pieces)))
    assert hash_weights(best.weights) == hash_weights(first)


@pytest.mark.parametrize("metrics", ["noisy", "exact"])
def test_in_a_private_federation_it_has_no_noise_costs_nothing_and_never_leaves(
    tmp_path: Path, metrics: str
) -> None:
    without = private(tmp_path, run__rounds=ROUNDS, privacy__metrics=metrics)
    tuned = with_changes(without, personalised__fine_tuning=TUNING, **AT_FIRST)
    spent, sent = {}, set[str]()

    def note(message: Message, deliver: Deliver) -> Message | None:
        answer = deliver(message)
        for each in (message, answer):
            if each is not None and each.has_content():
                models = wire.models_in(each.content).values()
                sent.update(hash_weights(model.weights) for model in models)
        return answer

    for name, federation in (("without", without), ("with", tuned)):
        run = new_run(federation, tmp_path / name)
        conduct(run, note if name == "with" else lambda message, deliver: deliver(message))
        sites = sites_of(run)
        spent[name] = {
            site.vendor: site.learner.spender.ledger.spent(
                site.learner.spender.dataset, site.learner.spender.budget.delta
            )
            for site in sites
            if site.learner.spender is not None
        }
    assert spent["with"] == spent["without"]
    assert len(spent["with"]) == len(without.roster)
    released = read_model_file(run.global_model).weights
    assert hash_weights(released) in sent
    for site in sites:
        best = site.state.best()
        assert best is not None and best.noiseless and best.origin == ORIGIN
        models = a_loop_at_home(site, released)
        assert best_hash(site) == hash_weights(models[-1])
        assert not {hash_weights(each) for each in models} & sent
        file = run.path / "state" / "sites" / site.vendor / "best.safetensors"
        assert read_model_file(file).without_noise
        assert not (run.models / f"{site.vendor}.safetensors").exists()


def test_a_private_model_without_noise_does_not_complete_models_that_are_trained(
    tmp_path: Path,
) -> None:
    federation = private(
        tmp_path,
        run__rounds=1,
        aggregation__normalisation="at-home",
        personalised__fine_tuning=TUNING,
        personalised__own={"epochs": 1},
        **AT_FIRST,
    )
    run = new_run(federation, tmp_path / "run")
    conduct(run)
    site = sites_of(run)[0]
    best = site.state.best()
    assert best is not None and best.origin in (ORIGIN, ALONE)
    # A restored site has no update of its own.
    for file in (run.path / "state" / "sites" / site.vendor / "updates").glob("*"):
        file.unlink()
    completed = site.home.complete(site.initial.weights)
    for name, first in site.home.first.items():
        assert (completed[name] == first).all()
