"""Normalisation that stays at home: in whole runs, in every message, and in the model files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message

from clients.models.model_file import load_model, read_model_file
from clients.networks.normalisation import normalisation_weights
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.first_model import first_model
from srflm_flower.federation.loading import with_changes
from srflm_flower.run.bundle import bundle_of_run
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.memory_grid import Deliver
from srflm_flower.run.normalisation import mean_at_home
from srflm_flower.run.simulated_site import SimulatedSite
from srflm_flower.site.own_data.home_weights import HomeWeights
from srflm_flower.site.state import SiteState, UpdateNotes
from strategies.errors import ConfigurationError
from strategies.protocol import messages as wire
from strategies.protocol.records import Ballot
from tests.support.tiny import VENDORS, conduct, new_run, tiny_federation

BALLOT = Ballot(examples=9, loss=1.0)

SHARED_AS_A_WHOLE = {wire.SHARE, wire.EVALUATE}
"""Personalised models may leave a simulated site, and are measured by the others."""


def federation_in(folder: Path, **changes: object) -> Federation:
    return tiny_federation(folder, aggregation__normalisation="at-home", **changes)


@pytest.fixture(scope="module")
def run_and_sent(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, dict[str, set[str]]]:
    """A run of four terms, and the names of all weights sent, by the kind of message."""
    folder = tmp_path_factory.mktemp("at-home")
    run = new_run(federation_in(folder, run__rounds=4), folder / "run")
    sent: dict[str, set[str]] = {}

    def note(message: Message, deliver: Deliver) -> Message | None:
        answer = deliver(message)
        contents = [message.content, *([answer.content] if answer and answer.has_content() else [])]
        for content in contents:
            for model in wire.models_in(content).values():
                sent.setdefault(message.metadata.message_type, set()).update(model.weights)
        return answer

    conduct(run, note)
    return run, sent


def test_normalisation_is_in_no_message_of_a_term(
    run_and_sent: tuple[RunFolder, dict[str, set[str]]],
) -> None:
    run, sent = run_and_sent
    at_home = first_model(run.federation()).at_home.keys()
    assert at_home
    assert {wire.TRAIN, wire.FINETUNE} <= sent.keys()
    for kind in sent.keys() - SHARED_AS_A_WHOLE:
        assert not sent[kind] & at_home, kind


def test_each_site_has_its_own(run_and_sent: tuple[RunFolder, dict[str, set[str]]]) -> None:
    run, _ = run_and_sent
    sites = [SimulatedSite.at(run.path, place) for place in range(len(VENDORS))]
    trained = [each.site().state.newest_training() for each in sites if each]
    first = first_model(run.federation())
    for name in first.at_home:
        values = [each[name].tobytes() for each in trained if each]
        assert len({*values}) == len(VENDORS), f"{name} is equal at two sites"


def test_personalised_model_is_whole_and_has_the_norm_it_was_chosen_with(
    run_and_sent: tuple[RunFolder, dict[str, set[str]]],
) -> None:
    run, _ = run_and_sent
    for place, vendor in enumerate(VENDORS):
        found = SimulatedSite.at(run.path, place)
        assert found is not None
        site, best = found.site(), found.site().state.best()
        assert best is not None
        assert site.learner.evaluate(best.weights, "validation") == best.metrics
        load_model(run.models / f"{vendor}.safetensors")


def test_released_model_has_the_mean_and_says_so(
    run_and_sent: tuple[RunFolder, dict[str, set[str]]],
) -> None:
    run, _ = run_and_sent
    file = read_model_file(run.global_model)
    assert file.notes["normalisation"] == "mean of the vendors'"
    network = load_model(run.global_model)
    assert normalisation_weights(network) <= file.weights.keys()


def test_restored_site_has_that_of_its_personalised_model(
    run_and_sent: tuple[RunFolder, dict[str, set[str]]], tmp_path: Path
) -> None:
    run, _ = run_and_sent
    federation, first = run.federation(), first_model(run.federation())
    old = run.site("a") / "best.safetensors"
    shutil.copy(old, tmp_path)  # no archive has the updates
    state = SiteState(tmp_path, federation.hash, federation.network_settings, federation.task)
    whole = HomeWeights(first.at_home, state).complete(first.shared.weights)
    best = read_model_file(old).weights
    assert all(np.array_equal(whole[name], best[name]) for name in first.at_home)
    assert any(not np.array_equal(whole[name], first.whole[name]) for name in first.at_home)


def test_bundle_has_no_figures_of_other_normalisation(
    run_and_sent: tuple[RunFolder, dict[str, set[str]]], tmp_path: Path
) -> None:
    run, _ = run_and_sent
    assert bundle_of_run(run.global_model, tmp_path / "bundle").metrics == {}


def test_mean_over_the_sites(
    run_and_sent: tuple[RunFolder, dict[str, set[str]]], tmp_path: Path
) -> None:
    run, _ = run_and_sent
    federation = run.federation()
    first = first_model(federation).at_home
    untrained = mean_at_home(new_run(federation, tmp_path / "new"), federation, first)
    assert all(np.array_equal(untrained[name], first[name]) for name in first)
    states = [SimulatedSite.at(run.path, place) for place in range(len(VENDORS))]
    trained = [each.site().state.newest_training() for each in states if each]
    for name, array in mean_at_home(run, federation, first).items():
        wanted = sum(each[name].astype(float) for each in trained if each) / len(VENDORS)
        np.testing.assert_allclose(array, wanted, rtol=1e-6)
        assert array.dtype == first[name].dtype
    assert mean_at_home(run, federation, {}) == {}


def test_same_run_again_gives_the_same_models(tmp_path: Path) -> None:
    federation = federation_in(tmp_path, run__rounds=2)
    one, two = (new_run(federation, tmp_path / name) for name in "12")
    conduct(one)
    conduct(two)
    for name in ("global", *VENDORS):
        files = [read_model_file(run.models / f"{name}.safetensors") for run in (one, two)]
        assert files[0].hash == files[1].hash


def test_secure_aggregation_masks_the_rest_only(tmp_path: Path) -> None:
    secure = {"aggregation__secure": True, "evaluate_averaged": False, "run__rounds": 2}
    federation = federation_in(tmp_path, **secure)
    run = new_run(federation, tmp_path / "run")
    conduct(run)
    load_model(run.global_model)


def test_identity_is_that_of_before_unless_it_is_asked_for(tmp_path: Path) -> None:
    plain = tiny_federation(tmp_path)
    assert with_changes(plain, aggregation__normalisation="averaged").hash == plain.hash
    assert federation_in(tmp_path).hash != plain.hash


def test_network_without_such_layers_is_refused(tmp_path: Path) -> None:
    federation = with_changes(
        federation_in(tmp_path), model__network="FullyConnectedNet",
        model__arguments={"hidden_channels": [8]},
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match="no normalisation layers"):
        first_model(federation)


@pytest.mark.parametrize(
    ("tuned_under", "trained_under", "last"), [(0, 1, "client"), (1, 0, "server"), (0, 0, "server")]
)
def test_training_last_begun_counts_when_a_vendor_had_both_roles_in_a_round(
    tuned_under: int, trained_under: int, last: str, tmp_path: Path
) -> None:
    """A server that was replaced trains as a client later, under a higher attempt."""
    federation = federation_in(tmp_path)
    begin = first_model(federation).whole
    state = SiteState(tmp_path, federation.hash, federation.network_settings, federation.task)
    of_round = {"term": 3, "round": 3, "start": "a" * 64, "ballot": BALLOT, "steps": 2}
    tuned, trained = (
        {name: array + change for name, array in begin.items()} for change in (1.0, 2.0)
    )
    state.store_finetuned(tuned, UpdateNotes(**of_round, attempt=tuned_under))
    state.store_update(trained, UpdateNotes(**of_round, attempt=trained_under))
    expected, found = {"client": trained, "server": tuned}[last], state.newest_training()
    assert found is not None
    assert all(np.array_equal(found[name], expected[name]) for name in begin)
