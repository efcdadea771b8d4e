"""Rules of private training as a whole."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from clients.data.vendor_data import Split
from clients.networks.build import initial_network
from clients.networks.weights import get_weights
from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.gradients.networks import make_dp_ready, make_probe
from clients.privacy.noise import Randomness
from clients.privacy.settings import PrivacySettings
from clients.privacy.training.training import PrivateOutcome, train_privately
from clients.settings import ModelSettings, TrainingSettings
from clients.tasks.losses import squared_error
from clients.tasks.settings import ClassificationSettings
from strategies.errors import PrivacyError, TrainingDiverged
from strategies.weights import hash_weights
from tests.support.learning.private_training import CPU, WithoutNoise, not_private_randomness

TASK = ClassificationSettings(classes=("dark", "bright"))
SETTINGS = PrivacySettings(unit="record", batch_size=16)
SGD = TrainingSettings(optimizer="sgd", momentum=0.0)
MECHANISM = Mechanism(0.8, 0.4, 6)


def make_data(count: int = 40) -> Split:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    noise = torch.randn(count, 1, 8, 8, generator=generator) * 0.2
    return Split(noise + labels[:, None, None, None] - 0.5, labels)


def make_network() -> nn.Module:
    network = initial_network(ModelSettings(norm="group"), TASK, seed=1)
    return make_dp_ready(network, make_probe((1, 8, 8), CPU))


def trained(
    mechanism: Mechanism = MECHANISM,
    settings: PrivacySettings = SETTINGS,
    randomness: Randomness | None = None,
    network: nn.Module | None = None,
    data: Split | None = None,
    learning_rate: float = 0.5,
    **options: object,
) -> tuple[nn.Module, PrivateOutcome]:
    network = network or make_network()
    outcome = train_privately(
        network,
        data or make_data(),
        mechanism,
        settings,
        SGD,
        learning_rate,
        CPU,
        randomness=randomness or not_private_randomness(5),
        **options,  # type: ignore[arg-type]
    )
    return network, outcome


def flat(network: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_it_learns() -> None:
    network, outcome = trained(replace(MECHANISM, steps=60))
    data = make_data()
    with torch.no_grad():
        right = (network.eval()(data.images).argmax(1) == data.targets).float().mean()
    assert float(right) > 0.9
    assert outcome.steps == 60 and outcome.loss < 0.6


@pytest.mark.parametrize("mode", ["vmap", "loop", "ghost"])
def test_mode_and_physical_batch_change_nothing(mode: str) -> None:
    one, outcome = trained()
    changed = SETTINGS.model_copy(update={"gradients": mode, "physical_batch": 3})
    other, same = trained(settings=changed)
    assert torch.allclose(flat(one), flat(other), atol=1e-4)
    assert outcome.loss == pytest.approx(same.loss, abs=1e-4)


def test_trainings_of_one_process_never_repeat_their_noise() -> None:
    start = flat(make_network())
    moves = []
    for _ in range(2):
        network = make_network()
        train_privately(network, make_data(), MECHANISM, SETTINGS, SGD, 0.5, CPU)
        moves.append(flat(network) - start)
    assert not torch.equal(*moves)


def test_published_seed_does_not_determine_private_training() -> None:
    hashes = set()
    for _ in range(2):
        torch.manual_seed(1)
        network = make_network()
        train_privately(network, make_data(), MECHANISM, SETTINGS, SGD, 0.5, CPU)
        hashes.add(hash_weights(get_weights(network)))
    assert len(hashes) == 2


def test_the_process_generator_is_left_alone() -> None:
    state = torch.get_rng_state()
    trained()
    assert torch.equal(state, torch.get_rng_state())


def test_empty_batches_are_steps_of_noise() -> None:
    start = make_network()
    network, outcome = trained(Mechanism(1.0, 1e-12, 5), network=copy.deepcopy(start))
    assert outcome.steps == 5
    moved = (flat(network) - flat(start)).double()
    unit = 0.5 * (1.0 + 0.3**2) ** 0.5 / 16 * 5**0.5
    assert float(moved.std()) == pytest.approx(unit, rel=0.02)


class Everybody(WithoutNoise):
    """Draws everybody, adds nothing."""


def test_average_is_over_the_expected_batch() -> None:
    start = make_network()
    everybody = Mechanism(1.0, 0.4, 1)
    one, _ = trained(everybody, randomness=Everybody(), network=copy.deepcopy(start))
    doubled = SETTINGS.model_copy(update={"batch_size": 32})
    other, _ = trained(everybody, doubled, Everybody(), copy.deepcopy(start))
    assert torch.allclose(flat(one) - flat(start), 2 * (flat(other) - flat(start)), atol=1e-6)


def test_loss_estimate_is_unbiased_and_as_noisy_as_promised() -> None:
    data, network = make_data(), nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with torch.no_grad():
        losses = nn.functional.cross_entropy(network(data.images), data.targets, reduction="none")
    true = float(losses.clamp(max=3.0).mean())
    mechanism, found = Mechanism(0.8, 0.4, 25), []
    for seed in range(24):
        _, outcome = trained(
            mechanism,
            randomness=not_private_randomness(seed),
            network=copy.deepcopy(network),
            learning_rate=1e-9,
        )
        found.append(outcome.loss)
    estimates = torch.tensor(found)
    noise = 0.8 * (1 + 0.3**2) ** 0.5 * 3.0 / (0.3 * 25**0.5 * 16)
    drawing = float(losses.square().sum() * 0.4 * 0.6) ** 0.5 / (25**0.5 * 16)
    expected = (noise**2 + drawing**2) ** 0.5
    assert abs(float(estimates.mean()) - true) < 4 * expected / 24**0.5
    assert 0.6 * expected < float(estimates.std()) < 1.5 * expected


def test_patient_counts_once_however_many_images() -> None:
    """Ten more images of one patient move the sum by no more than the bound, and are one draw."""
    data = make_data(12)
    images = torch.cat([data.images, data.images[:1] * 30 + torch.randn(10, 1, 8, 8)])
    labels = torch.cat([data.targets, torch.ones(10, dtype=torch.long)])
    patients = torch.cat([torch.arange(12), torch.zeros(10, dtype=torch.long)])
    start = make_network()
    once = Mechanism(1.0, 0.5, 1)

    def step(kept: torch.Tensor) -> torch.Tensor:
        part = Split(images[kept], labels[kept])
        options = {"groups": patients[kept], "randomness": Everybody(), "learning_rate": 16.0}
        network, _ = trained(once, network=copy.deepcopy(start), data=part, **options)  # type: ignore[arg-type]
        return flat(network)

    everyone = step(torch.arange(22))
    without = step((patients != 0).nonzero().flatten())
    assert 0.5 < float((everyone - without).norm()) <= 1.001


def test_patient_with_one_image_is_a_record() -> None:
    one, _ = trained()
    other, _ = trained(groups=torch.arange(40))
    assert torch.allclose(flat(one), flat(other), atol=1e-6)


def test_copies_are_averaged_before_clipping() -> None:
    constant = Split(torch.rand(40, 1, 1, 1).expand(40, 1, 8, 8).contiguous(), make_data().targets)
    one, _ = trained(data=constant)
    several = SETTINGS.model_copy(update={"copies": 3, "physical_batch": 4})
    other, _ = trained(settings=several, data=constant)
    assert torch.allclose(flat(one), flat(other), atol=1e-4)


def test_copies_of_a_real_image_differ() -> None:
    images = make_data().images
    images[..., 4:] += 2
    data = Split(torch.nn.functional.interpolate(images, 32), make_data().targets)
    several = SETTINGS.model_copy(update={"copies": 2})
    one, other = trained(data=data)[0], trained(settings=several, data=data)[0]
    assert not torch.allclose(flat(one), flat(other), atol=1e-5)


def test_only_the_last_layers_move_where_the_settings_say_so() -> None:
    start = make_network()
    only_last = SETTINGS.model_copy(update={"trainable_layers": 1})
    network, _ = trained(settings=only_last, network=copy.deepcopy(start))
    before, after = start.state_dict(), network.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"classifier.weight", "classifier.bias"}
    assert all(p.requires_grad for p in network.parameters())


def test_proximal_term_pulls_back_to_the_start() -> None:
    start = flat(make_network())
    free, _ = trained(replace(MECHANISM, steps=20))
    bound, _ = trained(replace(MECHANISM, steps=20), proximal=1.0)
    assert float((flat(bound) - start).norm()) < 0.5 * float((flat(free) - start).norm())


def test_nothing_of_the_records_is_left_on_the_network() -> None:
    network, _ = trained()
    for parameter in network.parameters():
        assert parameter.grad is None
        assert not hasattr(parameter, "grad_sample") and not hasattr(parameter, "summed_grad")


def test_nothing_is_trained_when_the_guard_refuses() -> None:
    network = initial_network(ModelSettings(), TASK, seed=1)
    before = hash_weights(get_weights(network))
    with pytest.raises(PrivacyError, match="BatchNorm"):
        trained(network=network)
    assert hash_weights(get_weights(network)) == before


def test_coupled_loss_is_refused() -> None:
    with pytest.raises(PrivacyError) as refused:
        trained(loss=nn.CrossEntropyLoss())
    assert refused.value.code == PrivacyError.LOSS


@pytest.mark.parametrize("options", [{"copies": 2}, {}])
def test_ghost_cannot_average_before_clipping(options: dict[str, int]) -> None:
    ghost = SETTINGS.model_copy(update={"gradients": "ghost", **options})
    groups = None if options else torch.arange(40) // 2
    with pytest.raises(PrivacyError, match='gradients = "ghost"'):
        trained(settings=ghost, groups=groups)


def test_damaged_image_does_no_harm() -> None:
    data = make_data()
    data.images[3] = float("nan")
    for mode in ("vmap", "loop", "ghost"):
        settings = SETTINGS.model_copy(update={"gradients": mode})
        network, outcome = trained(Mechanism(0.8, 1.0, 2), settings, data=data)
        assert flat(network).isfinite().all()
        assert outcome.loss == outcome.loss


def test_weights_that_are_not_finite_stop_the_training() -> None:
    with pytest.raises(TrainingDiverged):
        trained(Mechanism(1000.0, 0.4, 5), learning_rate=1e38)


def test_restoration_is_trained_alike() -> None:
    network = make_dp_ready(
        nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1)),
        make_probe((1, 8, 8), CPU),
    )
    images = make_data().images
    _, outcome = trained(
        replace(MECHANISM, steps=30),
        network=network,
        data=Split(images, images),
        loss=squared_error,
    )
    assert 0 < outcome.loss < 1
