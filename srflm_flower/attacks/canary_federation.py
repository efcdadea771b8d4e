"""A federation in memory with canaries as one vendor's records, and a tap on that vendor's site.

The sites, learners, privacy ledgers, messages, and the strategy are the same code as in every run;
only the data and the network are artificial.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from flwr.app import Context, Message, RecordDict

from clients.data.vendor_data import VendorData
from clients.learner import Learner
from clients.models.model_store import ModelStore
from clients.networks.weights import get_weights
from clients.privacy.audit.canaries import (
    LOSS_BOUND,
    Canaries,
    DiracNetwork,
    data_without_canaries,
)
from clients.privacy.settings import PrivacySettings
from clients.tasks.registry import task_of
from srflm_flower.client_app import answer_at
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.first_model import FirstModel
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.journal import run_journal
from srflm_flower.run.memory_grid import Deliver, MemoryGrid
from srflm_flower.site.privacy import PrivacyAccount
from srflm_flower.site.site import Site
from srflm_flower.site.state import SiteState
from strategies.errors import PrivacyError
from strategies.protocol import messages as wire
from strategies.server_rotating import ServerRotating
from strategies.settings import Role
from strategies.weights import Model, Weights, to_arrays

AUDITED, OTHER = "audited", "other"
MAX_CLIP = 10.0
"""The largest clipping bound of an audit: more would hardly clip the canaries' gradients."""

ENOUGH = 100.0
"""A budget that does not run out, as the audit checks the accounting and not the stop."""

LEARNING_PER_RECORD = 1e-6
"""Learning rate over batch, so small that the weights hardly change the gradients."""

ROLES: dict[str, Role] = {wire.TRAIN: "client", wire.FINETUNE: "server"}


@dataclass(frozen=True)
class Released:
    """A training whose result left the site: role, weights before and after, and loss."""

    role: Role
    start: Weights
    end: Weights
    loss: float


@dataclass
class Tap:
    """Intercepts all messages, and notes the trainings that the audited vendor's node sends."""

    node: int
    initial: Model
    released: dict[tuple[Role, int], Released] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    _models: dict[str, Model] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._models[self.initial.hash] = self.initial

    def __call__(self, message: Message, deliver: Deliver) -> Message | None:
        """Deliver the message, and note the audited vendor's answer."""
        # A message names models by hash and holds only those that its receiver lacks: keep all.
        self._note_models(message.content)
        answer = deliver(message)
        if answer is None or not answer.has_content():
            return answer
        self._note_models(answer.content)
        reply = wire.unpack(answer, wire.Reply)
        kind = message.metadata.message_type
        if message.metadata.dst_node_id == self.node and kind in ROLES:
            self._note_release(ROLES[kind], wire.unpack(message, wire.Train), reply)
        if reply.status == "failed":
            self.failures.append(f"{reply.vendor}: {reply.code}")
        return answer

    def _note_models(self, content: RecordDict) -> None:
        self._models |= wire.models_in(content)

    def _note_release(self, role: Role, work: wire.Train, reply: wire.Reply) -> None:
        if reply.update and reply.ballot:  # a repeated answer is equal, so overwriting is safe
            start, end = self._models[work.model], self._models[reply.update]
            self.released[role, work.round] = Released(
                role, start.weights, end.weights, reply.ballot.loss
            )


@dataclass(frozen=True)
class Leaked:
    """All trainings that left the audited site, and its own privacy ledger's ε at ``delta``.

    ``batch`` is the expected batch size, by which the losses were divided.
    """

    released: tuple[Released, ...]
    accounted: float
    delta: float
    batch: int


@dataclass(frozen=True)
class CanaryNoise:
    """The noise multipliers of both roles."""

    client: float
    server: float


def canary_federation(
    noise: CanaryNoise, canaries: int, rounds: int, delta: float, settings: PrivacySettings
) -> Federation:
    """Return a federation of two vendors that serve by turns; every round is one gradient step.

    The computation and clipping of gradients and the loss's share are those of ``settings``.
    """
    privacy = settings.model_copy(
        update={
            "unit": "record",
            "epsilon": ENOUGH,
            "delta": delta,
            "clip": min(settings.clip, MAX_CLIP),
            # A step draws each record with probability 1 − 1/canaries: sampling hides nothing.
            "batch_size": canaries - 1,
            "client_noise": noise.client,
            "server_noise": noise.server,
            "client_steps": 1,
            "server_steps": 1,
            "server_terms": None,
            "loss_bound": LOSS_BOUND,
            "metrics": "withheld",
            "copies": 1,
            "trainable_layers": None,
        }
    )
    return Federation.model_validate(
        {
            "name": "privacy-audit",
            "vendors": [{"name": name, "size": canaries} for name in (AUDITED, OTHER)],
            "evaluate-averaged": False,
            "task": {"classes": ["no", "yes"]},
            "training": {"learning-rate": LEARNING_PER_RECORD * (canaries - 1), "decay": 1.0},
            "election": {"policy": "round-robin"},
            "privacy": privacy.model_dump(by_alias=True),
            "run": {"rounds": rounds, "device": "cpu"},
        }
    )


def run_canaries(federation: Federation, canaries: Canaries, folder: Path) -> Leaked:
    """Run the federation's rounds with ``canaries`` at one vendor; keep all state in ``folder``.

    Raises :class:`PrivacyError` when the vendor did not train in every round, and
    :class:`strategies.errors.FederationStopped` when no vendor did.
    """
    count = len(canaries.included)
    data = {AUDITED: canaries.data(), OTHER: data_without_canaries(count)}
    run = RunFolder(folder)
    sites = [make_site(run, federation, name, each) for name, each in data.items()]
    initial = sites[0].initial
    tap = Tap(1, initial)

    def answer(message: Message, context: Context) -> Message:
        return answer_at(lambda: sites[context.node_id - 1], message)

    strategy = ServerRotating(
        federation.term_plan(),
        federation.election_policy(),
        federation.aggregation,
        run_journal(run, federation, initial),
    )
    grid = MemoryGrid(answer, len(sites), folder, tap)
    strategy.start(grid, to_arrays(initial.weights), federation.run.rounds)
    if len(tap.released) != federation.run.rounds:
        raise PrivacyError(
            f"{len(tap.released)} trainings of the audited vendor in {federation.run.rounds} rounds"
            f" ({'; '.join(tap.failures) or 'no site has refused its work'})",
            "one in every round, as client or as server",
            "look into the codes that are named: nothing was audited",
            PrivacyError.MECHANISM,
        )
    spender = sites[0].learner.spender
    assert spender is not None
    delta = federation.privacy.delta
    accounted = spender.ledger.spent(spender.dataset, delta)
    return Leaked(tuple(tap.released.values()), accounted, delta, federation.privacy.batch_size)


def make_site(run: RunFolder, federation: Federation, vendor: str, data: VendorData) -> Site:
    """Return a vendor's site with this data and a privacy ledger of its own."""
    network = DiracNetwork(len(data.train))
    account = PrivacyAccount(run.privacy_ledger(vendor))
    learner = Learner(
        vendor,
        data,
        network,
        task_of(federation.task),
        federation.training,
        federation.seed,
        torch.device("cpu"),
        spender=account.spender(federation, vendor, data),
    )
    state = SiteState(
        run.site(vendor), federation.hash, federation.network_settings, federation.task
    )
    return Site(
        vendor,
        federation,
        lambda: learner,
        FirstModel(network, get_weights(network), {}),
        state,
        ModelStore(run.site_store),
    )
