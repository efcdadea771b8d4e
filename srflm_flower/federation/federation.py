"""``federation.toml``: what all members agree on, checked as a whole before anything starts.

Its defaults are the built-in demonstration: four vendors and the CT phantom.  The hash of the
agreed part is the federation's identity and rides in every message.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

import tomlkit
from pydantic import Field, Strict

from clients.data.plan import DataPlan
from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.settings import PrivacySettings
from clients.settings import (
    DataSettings,
    ModelSettings,
    NpzData,
    PhantomData,
    SplitSettings,
    TaskSettings,
    TrainingSettings,
)
from srflm_flower.federation.member import Member
from strategies.election import ElectionPolicy, election_policy
from strategies.eligibility import EligibleFirst
from strategies.errors import ConfigurationError
from strategies.protocol.records import Edition, canonical_json
from strategies.settings import AggregationSettings, ElectionSettings, Role, Settings
from strategies.term.plan import StepPlan, TermPlan

BUILT_IN_VENDORS = ("aster", "borealis", "cygnus", "draco")


class RunSettings(Settings):
    """How long and where to compute; not part of the federation's identity.

    ``answer_deadline`` (opening a term) and ``work_deadline`` (training, evaluation, storing) are
    the seconds after which a vendor counts as absent.
    """

    rounds: int = Field(default=20, ge=1)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    mixed_precision: bool = True
    answer_deadline: float = Field(default=60.0, gt=0)
    work_deadline: float = Field(default=3600.0, gt=0)


class Federation(Settings):
    """A federation: roster, task, data, model, training, election, aggregation, privacy, the run.

    ``bundle`` is the hash of the Flower app that all sites have installed (deployment only).
    ``edition`` counts changes of the roster (:mod:`srflm_flower.federation.successor`): a later
    one names the hash of the ``previous`` one and what is needed to verify the ``first`` one's
    records.
    """

    name: str = Field(default="phantom", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")
    seed: int = Field(default=65, ge=0)
    rounds_per_term: int = Field(default=1, ge=1)
    evaluate_averaged: bool = True
    bundle: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    edition: int = Field(default=1, ge=1)
    previous: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    first: Edition | None = None
    vendors: Annotated[tuple[Member, ...], Strict(False)] = tuple(
        Member(name=v) for v in BUILT_IN_VENDORS
    )
    task: TaskSettings = TaskSettings()
    data: DataSettings = PhantomData()
    splits: SplitSettings = SplitSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    election: ElectionSettings = ElectionSettings()
    aggregation: AggregationSettings = AggregationSettings()
    privacy: PrivacySettings = PrivacySettings()
    run: RunSettings = RunSettings()

    @property
    def network_settings(self) -> ModelSettings:
        """The network as it is built: ready for differential privacy where the federation asks."""
        if self.privacy.private and not self.model.dp_ready:
            return self.model.model_copy(update={"dp_ready": True})
        return self.model

    @property
    def roster(self) -> tuple[str, ...]:
        """The vendors' names in their agreed order."""
        return tuple(vendor.name for vendor in self.vendors)

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of all that members agree on: everything but ``run`` and data paths."""
        left_out = {"run"} | ({"edition", "previous", "first"} if self.edition == 1 else set())
        agreed = self.model_dump(mode="json", by_alias=True, exclude=left_out)
        agreed["model"] = self.network_settings.model_dump(mode="json", by_alias=True)
        agreed["data"].pop("path", None)
        for vendor in agreed["vendors"]:
            vendor.pop("path", None)
            if vendor["number"] is None:
                del vendor["number"]
        return hashlib.sha256(canonical_json(agreed)).hexdigest()

    @property
    def as_edition(self) -> Edition:
        """This file as what its votes are verified by."""
        keys = tuple(vendor.signing_key for vendor in self.vendors if vendor.signing_key)
        return Edition(federation=self.hash, roster=self.roster, keys=keys)

    @property
    def first_edition(self) -> Edition:
        """The edition with which the ledger begins; its hash never changes."""
        return self.first if self.first is not None else self.as_edition

    def member(self, vendor: str) -> Member:
        """Return a vendor's settings; raises :class:`ConfigurationError` for a stranger."""
        for member in self.vendors:
            if member.name == vendor:
                return member
        raise ConfigurationError(
            f"the vendor {vendor!r}",
            f"one of the roster: {', '.join(self.roster)}",
            "correct the vendor's name, or get the consortium's current federation file",
        )

    def mechanism(self, vendor: str, role: Role) -> Mechanism | None:
        """Return what a round in ``role`` does with a vendor's records; None without privacy."""
        member = self.member(vendor)
        if not self.privacy.private:
            return None
        assert member.size is not None  # checked between the tables
        noise = member.client_noise if role == "client" else member.server_noise
        return self.privacy.mechanism(member.size, role, noise)

    def model_notes(self) -> dict[str, Any]:
        """Return what every model file of this federation notes: whose it is, the image size."""
        size = None if isinstance(self.data, NpzData) else self.data.image_size
        return {"federation": self.hash} | ({"image-size": size} if size is not None else {})

    def data_plan(self) -> DataPlan:
        """Return what determines the vendors' data."""
        return DataPlan(
            self.data,
            self.task,
            self.vendors,
            self.splits,
            self.training.batch_size,
            self.seed,
        )

    def term_plan(self, steps: StepPlan | None = None) -> TermPlan:
        """Return what the strategy needs to know."""
        return TermPlan(
            federation=self.hash,
            roster=self.roster,
            learning_rate=self.training.learning_rate,
            decay=self.training.decay,
            client_epochs=self.training.client_epochs,
            server_epochs=self.training.server_epochs,
            rounds_per_term=self.rounds_per_term,
            answer_deadline=self.run.answer_deadline,
            work_deadline=self.run.work_deadline,
            steps=steps,
            evaluate_averaged=self.evaluate_averaged,
            server_terms=self.server_terms,
            min_clients=self.aggregation.min_clients,
        )

    @property
    def server_terms(self) -> int | None:
        """The most terms that a vendor serves; None: any number."""
        return self.privacy.server_terms if self.privacy.private else None

    def election_policy(self) -> ElectionPolicy:
        """Return the policy by which the next server is elected."""
        policy = election_policy(self.election, self.seed)
        return EligibleFirst(policy, self.server_terms) if self.privacy.private else policy

    def to_toml(self) -> str:
        """Return the federation as TOML with every setting, defaults too."""
        tree = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        tree["vendors"] = tree.pop("vendors")  # tables of tables come last
        return tomlkit.dumps(tree)
