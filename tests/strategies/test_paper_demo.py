"""The paper demo's rule, and the one with a server that joins, anew with only torch and NumPy.

No code of the strategy, the election, the aggregation, or the training loop is used here: only
the vendors' data and the initial network come from the project.  The rule is in
docs/explanation/method.md.
"""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from clients.data.sources import load_vendor_data
from clients.models.model_store import ModelStore
from clients.networks.build import initial_network
from srflm_flower.federation.federation import Federation
from tests.support.tiny import conduct, new_run, records_of, tiny_federation

ROUNDS, K, LAMBDA, LEARNING_RATE, DECAY, MOMENTUM, BATCH = 14, 5, 0.5, 0.003, 0.9, 0.9, 8
CLIENT_EPOCHS, SERVER_EPOCHS = 1, 2

State = dict[str, np.ndarray]


def demo_federation(folder: Path, fine_tuned: str) -> Federation:
    return tiny_federation(
        folder,
        data__partition__alpha=0.8,
        training__learning_rate=LEARNING_RATE,
        training__decay=DECAY,
        training__momentum=MOMENTUM,
        training__batch_size=BATCH,
        training__client_epochs=CLIENT_EPOCHS,
        training__server_epochs=SERVER_EPOCHS,
        election__policy="score",
        election__by_turn_rounds=K,
        election__loss_weight=LAMBDA,
        aggregation__include_stale_server="always",
        aggregation__fine_tuned=fine_tuned,
        run__rounds=ROUNDS,
    )


class DemoVendor:
    """One vendor of the demo: plain mini-batch SGD."""

    def __init__(self, federation: Federation, name: str) -> None:
        self.name, self.seed = name, federation.seed
        data = load_vendor_data(federation.data_plan(), name).train
        self.images, self.labels = data.images, data.targets

    def train(
        self, network: nn.Module, rate: float, epochs: int, role: str, round_number: int
    ) -> tuple[nn.Module, float]:
        network = copy.deepcopy(network).train()
        text = f"srflm:{self.seed}:train:{self.name}:{role}:{round_number}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") // 2
        shuffle = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.SGD(network.parameters(), rate, momentum=MOMENTUM)
        losses: list[float] = []
        for _ in range(epochs):
            order = torch.randperm(len(self.labels), generator=shuffle)
            for start in range(0, len(order), BATCH):
                batch = order[start : start + BATCH]
                if len(batch) == 1:
                    continue
                logits = network(self.images[batch])
                loss = nn.functional.cross_entropy(logits, self.labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses += [loss.item()] * len(batch)
        return network, float(np.mean(losses))


def state_of(network: nn.Module) -> State:
    return {
        name: tensor.detach().numpy().astype(np.float64)
        for name, tensor in network.state_dict().items()
        if tensor.is_floating_point()
    }


def with_state(network: nn.Module, state: State) -> nn.Module:
    network = copy.deepcopy(network)
    own = network.state_dict()
    for name, array in state.items():
        own[name].copy_(torch.from_numpy(array))
    return network


def compute_demo(federation: Federation, fine_tuned: str) -> tuple[list[str], list[State]]:
    """Return the sequence of servers and the global model after every round.

    A server that "joins" counts with the model that it has fine-tuned, and with no earlier one.
    """
    vendors = [DemoVendor(federation, name) for name in federation.roster]
    network = initial_network(federation.network_settings, federation.task, federation.seed)
    last_update = [state_of(network) for _ in vendors]
    losses = [0.0 for _ in vendors]
    server, rate, servers, models = 0, LEARNING_RATE, [], []
    for round_number in range(1, ROUNDS + 1):
        servers.append(vendors[server].name)
        for position, vendor in enumerate(vendors):
            if position != server:
                trained, losses[position] = vendor.train(
                    network, rate, CLIENT_EPOCHS, "client", round_number
                )
                last_update[position] = state_of(trained)
        averaged = [
            update
            for position, update in enumerate(last_update)
            if position != server or fine_tuned == "replaces"
        ]
        mean = {name: np.mean([each[name] for each in averaged], axis=0) for name in averaged[0]}
        network, losses[server] = vendors[server].train(
            with_state(network, mean), rate, SERVER_EPOCHS, "server", round_number
        )
        if fine_tuned == "joins":
            tuned = state_of(network)
            clients = len(vendors) - 1
            q = min(1 / len(vendors), CLIENT_EPOCHS / SERVER_EPOCHS / clients)
            joined = {n: (1 - q) * mean[n] + q * tuned[n] for n in mean}
            network = with_state(network, joined)
        models.append(state_of(network))
        rate *= DECAY
        if round_number + 1 <= K:
            server = round_number % len(vendors)
        else:
            sizes = np.array([len(vendor.labels) for vendor in vendors])
            score = sizes / sizes.sum() + LAMBDA * np.array(losses) / np.sum(losses)
            server = int(np.argmax(score))
    return servers, models


@pytest.fixture(scope="module", params=["replaces", "joins"])
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("demo")
    federation = demo_federation(folder, request.param)
    stored: list[State] = []

    def keep_model(event: str, **fields: object) -> None:
        if event == "term-committed":
            record = fields["record"]
            model = ModelStore(run.server_store).get(record["model"])  # type: ignore[index]
            stored.append(model.weights)

    run = new_run(federation, folder / "run")
    conduct(run, observer=keep_model)
    return compute_demo(federation, request.param), (records_of(run), stored)


def test_sequence_of_servers_is_the_demo_s(runs) -> None:
    (servers, _), (records, _) = runs
    assert [record.server for record in records] == servers
    assert len(records) == ROUNDS >= 12


def test_score_elects_after_the_first_k_rounds(runs) -> None:
    (servers, _), _ = runs
    assert servers[:K] == ["a", "b", "c", "d", "a"]
    assert servers[K:] != [["a", "b", "c", "d"][n % 4] for n in range(K, ROUNDS)]


def test_weights_after_every_round_are_the_demo_s(runs) -> None:
    (_, models), (_, stored) = runs
    for expected, found in zip(models, stored, strict=True):
        assert expected.keys() == found.keys()
        for name in expected:
            # Fourteen rounds of rounding in another order; weights move a hundred times as far.
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-5)


def test_models_move_far_beyond_the_tolerance(runs) -> None:
    (_, models), _ = runs
    name = next(iter(models[0]))
    assert np.abs(models[-1][name] - models[0][name]).max() > 1e-3
