"""``federation.toml``: the members' agreement, checked as a whole before anything starts.

Its defaults are the built-in demonstration: four vendors and the CT phantom.  The hash of the
agreed part is the federation's identity and is in every message.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Annotated, Any, Literal

import tomlkit
from pydantic import Field, Strict

from clients.data.plan import DataPlan
from clients.preparation.settings import AS_READ
from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.settings import PrivacySettings
from clients.settings import (
    DataSettings,
    FileData,
    ModelSettings,
    NpzData,
    PhantomData,
    SplitSettings,
    TrainingSettings,
)
from clients.tasks.settings import ClassificationSettings, TaskSettings
from srflm_flower.federation.identity import without_later_defaults
from srflm_flower.federation.member import Member
from srflm_flower.federation.personalised import PersonalisedSettings
from strategies.election import ElectionPolicy, Ranking, election_policy, first_ranking
from strategies.eligibility import EligibleFirst
from strategies.errors import ConfigurationError
from strategies.protocol.records import Edition, Quorum, canonical_json
from strategies.settings import (
    AggregationSettings,
    ElectionSettings,
    Role,
    Settings,
)
from strategies.term.plan import StepPlan, TermPlan

BUILT_IN_VENDORS = ("aster", "borealis", "cygnus", "draco")


class RunSettings(Settings):
    """How long and where to compute; not part of the federation's identity."""

    rounds: int = Field(
        default=20,
        ge=1,
        description="SRFLM rounds to run; `srflm run --rounds` orders another number.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto",
        description='Where a simulation computes: "auto" takes CUDA, then MPS, then the CPU; a'
        " deployed site has its own device in site.toml.",
    )
    mixed_precision: bool = Field(
        default=True,
        description="Whether training uses bfloat16 on CUDA devices that have it; no effect"
        " elsewhere.",
    )
    answer_deadline: float = Field(
        default=60.0,
        gt=0,
        description="Seconds after which a vendor that has not answered a question counts as"
        " absent; a simulation's first question waits for work-deadline.",
    )
    work_deadline: float = Field(
        default=3600.0,
        gt=0,
        description="Seconds after which a vendor that has not finished training, evaluating or"
        " storing counts as absent.",
    )


class ProtocolSettings(Settings):
    """How many vendors decide."""

    quorum: Quorum = Field(
        default="majority",
        description='How many vendors decide on a record: a "majority", or with "byzantine" so'
        " many that a third of the vendors less one may lie: ⌈(N+f+1)/2⌉ of N, with"
        " f = ⌊(N−1)/3⌋; needs four vendors.",
    )


class RecoveredHead(Settings):
    """The record from which the remaining members of a federation went on."""

    term: int = Field(ge=1, description="Its term.")
    hash: str = Field(pattern=r"^[0-9a-f]{64}$", description="Its hash (SHA-256).")


class Federation(Settings):
    """A federation: all that its members agree on, and how long and where to compute."""

    name: str = Field(
        default="phantom",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$",
        description="Name of the federation, and of its run folders.",
    )
    seed: int = Field(
        default=65,
        ge=0,
        description="Number from which initial weights, division of data, order of examples, and"
        " random elections follow; private noise does not.",
    )
    rounds_per_term: int = Field(
        default=1,
        ge=1,
        description="SRFLM rounds that one provisional server conducts before the next election.",
    )
    evaluate_averaged: bool = Field(
        default=True,
        description="Whether all vendors evaluate the averaged model too; false saves sending it"
        " to them.",
    )
    bundle: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 (hexadecimal) of the Flower app that all sites have installed; left"
        " out in a simulation.",
    )
    accepted_bundle: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 (hexadecimal) of a second Flower app with which a site may run while"
        " the members upgrade one by one; written by `srflm federation publish --accept`.",
    )
    edition: int = Field(
        default=1,
        ge=1,
        description="Number of this edition of the file; every change of the roster adds one.",
    )
    previous: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="Identity (SHA-256) of the edition before this one; left out in edition 1.",
    )
    first: Edition | None = Field(
        default=None,
        description="The first edition, by which the ledger's first records are verified; left out"
        " in edition 1.",
    )
    recovered: Annotated[tuple[RecoveredHead, ...], Strict(False)] | None = Field(
        default=None,
        description="Records from which remaining members went on after the quorum was lost for"
        " good; written by `srflm roster recover`.",
    )
    vendors: Annotated[tuple[Member, ...], Strict(False)] = Field(
        default=tuple(Member(name=v) for v in BUILT_IN_VENDORS),
        description="The roster: one table a member, in the order of the first rounds.",
    )
    task: TaskSettings = Field(default=ClassificationSettings(), description="What is learnt.")
    data: DataSettings = Field(default=PhantomData(), description="Where the images come from.")
    splits: SplitSettings = Field(
        default=SplitSettings(), description="How a vendor's data is divided into splits."
    )
    model: ModelSettings = Field(default=ModelSettings(), description="The network.")
    training: TrainingSettings = Field(
        default=TrainingSettings(), description="Local training in both roles."
    )
    election: ElectionSettings = Field(
        default=ElectionSettings(), description="How the next server is elected."
    )
    aggregation: AggregationSettings = Field(
        default=AggregationSettings(), description="How the server averages."
    )
    personalised: PersonalisedSettings = Field(
        default=PersonalisedSettings(), description="How a vendor's own model is chosen."
    )
    protocol: ProtocolSettings = Field(
        default=ProtocolSettings(), description="How many vendors decide."
    )
    privacy: PrivacySettings = Field(
        default=PrivacySettings(), description="Differential privacy, off by default."
    )
    run: RunSettings = Field(default=RunSettings(), description="How long and where to compute.")

    @property
    def network_settings(self) -> ModelSettings:
        """The network as it is built: ready for differential privacy where the federation asks."""
        if self.privacy.private and not self.model.dp_ready:
            return self.model.model_copy(update={"dp_ready": True})
        return self.model

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """The sides in pixels, one a dimension, of what a network sees: an image, or a patch of it.

        None where only the data tells them.
        """
        if isinstance(self.data, FileData) and self.data.prepare.patch is not None:
            return self.data.prepare.patch_of(self.task.spatial_dims)
        if isinstance(self.data, FileData) and self.data.prepare.size is not None:
            sides = self.data.prepare.size
            return sides * self.task.spatial_dims if len(sides) == 1 else sides
        size = None if isinstance(self.data, NpzData) else self.data.image_size
        if size is None:
            return None
        # The phantom's volumes are one slice deep.
        flat = self.task.spatial_dims - 2 if isinstance(self.data, PhantomData) else 0
        return (1,) * flat + (size,) * (self.task.spatial_dims - flat)

    @property
    def bundles(self) -> tuple[str, ...]:
        """The hashes of the Flower apps with which a site may run."""
        return tuple(each for each in (self.bundle, self.accepted_bundle) if each is not None)

    @property
    def roster(self) -> tuple[str, ...]:
        """The vendors' names in their agreed order."""
        return tuple(vendor.name for vendor in self.vendors)

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of all that members agree on: everything but ``run`` and paths."""
        left_out = {"run"} | ({"edition", "previous", "first"} if self.edition == 1 else set())
        dump = partial(self.model_dump, mode="json", by_alias=True, exclude=left_out)
        agreed = without_later_defaults(dump(), dump(exclude_defaults=True))
        agreed["model"]["dp-ready"] = self.network_settings.dp_ready
        # The noise has one source now.  Files that never mentioned it keep the identity that they
        # had when its default was another.
        agreed["privacy"]["random"] = "system"
        for table in (agreed["data"], *agreed["vendors"]):
            table.pop("path", None)
        # Its hash says which file it is, wherever a member keeps it.
        for name in ("initial-weights", "features"):
            agreed["model"].get(name, {}).pop("file", None)
        return hashlib.sha256(canonical_json(agreed)).hexdigest()

    @property
    def as_edition(self) -> Edition:
        """The part of this file by which votes are verified."""
        keys = tuple(vendor.signing_key for vendor in self.vendors if vendor.signing_key)
        return Edition(
            federation=self.hash,
            roster=self.roster,
            keys=keys,
            byzantine=True if self.protocol.quorum == "byzantine" else None,
            guarded=True if self.aggregation.guard is not None else None,
        )

    @property
    def first_edition(self) -> Edition:
        """The edition with which the ledger begins; its hash never changes."""
        return self.first if self.first is not None else self.as_edition

    def member(self, vendor: str) -> Member:
        """Return a vendor's settings; raises :class:`ConfigurationError` for other names."""
        for member in self.vendors:
            if member.name == vendor:
                return member
        raise ConfigurationError(
            f"the vendor {vendor!r}",
            f"one of the roster: {', '.join(self.roster)}",
            "correct the vendor's name, or get the consortium's current federation file",
        )

    def mechanism(self, vendor: str, role: Role) -> Mechanism | None:
        """Return the mechanism of a round in ``role`` at a vendor; None without privacy."""
        member = self.member(vendor)
        if not self.privacy.private:
            return None
        assert member.size is not None  # checked between the tables
        noise = member.client_noise if role == "client" else member.server_noise
        return self.privacy.mechanism(member.size, role, noise)

    def model_notes(self) -> dict[str, Any]:
        """Return the notes of every model file: federation, image size, and preparation."""
        shape = self.image_shape
        prepare = self.data.prepare if isinstance(self.data, FileData) else AS_READ
        chosen = prepare.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        # A window alone is written as it was when there was nothing else.
        alone = chosen.keys() <= {"window"}
        notes = {
            "federation": self.hash,
            "image-size": None if shape is None else shape[-1],
            "image-shape": shape if shape is not None and len(set(shape)) > 1 else None,
            "window": prepare.window if alone else None,
            "prepare": None if alone else chosen,
        }
        return {name: note for name, note in notes.items() if note is not None}

    def data_plan(self) -> DataPlan:
        """Return the settings that determine the vendors' data."""
        return DataPlan(
            self.data,
            self.task,
            self.vendors,
            self.splits,
            self.training.batch_size,
            self.seed,
        )

    def term_plan(self, steps: StepPlan | None = None) -> TermPlan:
        """Return the settings that the strategy needs."""
        return TermPlan(
            federation=self.hash,
            roster=self.roster,
            learning_rate=self.training.learning_rate,
            decay=self.training.decay,
            client_epochs=self.training.client_epochs,
            server_epochs=self.training.server_epochs,
            lengths=self.lengths,
            rounds_per_term=self.rounds_per_term,
            answer_deadline=self.run.answer_deadline,
            work_deadline=self.run.work_deadline,
            steps=steps,
            evaluate_averaged=self.evaluate_averaged,
            server_terms=self.server_terms,
            min_clients=self.aggregation.min_clients,
            quorum=self.protocol.quorum,
        )

    @property
    def lengths(self) -> float:
        """The length of a client's training in a round over that of the server's fine-tuning."""
        if self.privacy.private:
            return self.privacy.client_steps / self.privacy.server_steps
        return self.training.client_epochs / self.training.server_epochs

    @property
    def server_terms(self) -> int | None:
        """The most terms that a vendor serves; None: any number."""
        return self.privacy.server_terms if self.privacy.private else None

    def election_policy(self) -> ElectionPolicy:
        """Return the policy by which the next server is elected."""
        policy = election_policy(self.election, self.seed)
        return EligibleFirst(policy, self.server_terms) if self.privacy.private else policy

    @property
    def first_ranking(self) -> Ranking:
        """The order in which the vendors serve the first term."""
        return first_ranking(self.election_policy(), self.first_edition.roster)

    def to_toml(self) -> str:
        """Return the federation as TOML with every setting, defaults too."""
        tree = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        tree["vendors"] = tree.pop("vendors")  # tables of tables come last
        return tomlkit.dumps(tree)
