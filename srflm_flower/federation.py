"""``federation.toml``: what all members agree on, checked as a whole before anything starts.

Its defaults are the built-in demonstration: four vendors and the CT phantom.  The hash of the
agreed part is the federation's identity and rides in every message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import tomlkit
from pydantic import Field, Strict, ValidationError, ValidationInfo, model_validator
from pydantic_core import ErrorDetails

from clients.data.plan import DataPlan
from clients.privacy.mechanism import Mechanism
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
from srflm_flower.errors import ConfigurationError
from srflm_flower.federation_problems import (
    Location,
    Tables,
    problems_between_tables,
    problems_within,
)
from srflm_flower.federation_tree import (
    array,
    from_folder,
    in_kebab_case,
    misspelled,
    read,
    without_broken,
)
from srflm_flower.member import Member
from srflm_flower.records import Edition, canonical_json
from strategies.election import ElectionPolicy, election_policy
from strategies.eligibility import EligibleFirst
from strategies.settings import AggregationSettings, ElectionSettings, Role, Settings
from strategies.term_plan import StepPlan, TermPlan

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
    ``edition`` counts changes of the roster (:mod:`srflm_flower.editions`): a later one names the
    hash of the ``previous`` one and what is needed to verify the ``first`` one's records.
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

    @model_validator(mode="after")
    def _network_is_ready(self) -> Federation:
        if self.privacy.private and not self.model.dp_ready:
            self.__dict__["model"] = self.model.model_copy(update={"dp_ready": True})
        return self

    @model_validator(mode="after")
    def _tables_fit_together(self, info: ValidationInfo) -> Federation:
        problems = problems_between_tables(self, (info.context or {}).get("broken", frozenset()))
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def roster(self) -> tuple[str, ...]:
        """The vendors' names in their agreed order."""
        return tuple(vendor.name for vendor in self.vendors)

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of all that members agree on: everything but ``run`` and data paths."""
        left_out = {"run"} | ({"edition", "previous", "first"} if self.edition == 1 else set())
        agreed = self.model_dump(mode="json", by_alias=True, exclude=left_out)
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

    def changed(self, **changes: Any) -> Federation:
        """Return a copy with fields replaced, checked anew; ``a__b=1`` reaches into tables."""
        tree = self.model_dump(mode="python")
        for path, value in changes.items():
            *tables, field = path.split("__")
            table = tree
            for name in tables:
                table = table[name]
            table[field] = value
        return _validated(tree, "the changed federation")

    def to_toml(self) -> str:
        """Return the federation as TOML with every setting, defaults too."""
        tree = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        tree["vendors"] = tree.pop("vendors")  # tables of tables come last
        return tomlkit.dumps(tree)


def built_in_federation(vendors: int = len(BUILT_IN_VENDORS)) -> Federation:
    """Return the demonstration federation with this many vendors."""
    names = [*BUILT_IN_VENDORS, *(f"vendor-{n}" for n in range(len(BUILT_IN_VENDORS), vendors))]
    return _validated({"vendors": [{"name": name} for name in names[:vendors]]}, "the roster")


def load_federation(path: Path) -> Federation:
    """Read a federation file; relative data paths in it start at its own folder.

    Raises :class:`ConfigurationError` with all problems at once.
    """
    tree = read(path)
    for table in [tree.get("data"), *array(tree.get("vendors"))]:
        if isinstance(table, dict) and isinstance(table.get("path"), str):
            table["path"] = from_folder(path.parent, table["path"])
    respelled: dict[Location, str] = {}
    return _validated(in_kebab_case(tree, respelled), str(path), respelled)


def _validated(
    tree: dict[str, Any], where: str, respelled: Mapping[Location, str] = MappingProxyType({})
) -> Federation:
    federation, errors = _attempt(tree, frozenset())
    if federation is not None and not respelled:
        return federation
    if any(error["loc"] for error in errors):
        errors += _attempt(*without_broken(tree, errors))[1]
    problems = misspelled(errors, respelled)
    problems += [problem for error in errors for problem in problems_within(error)]
    raise ConfigurationError(
        f"{len(problems)} problem(s) in {where}:\n" + "\n".join(f"  - {p}" for p in problems),
        "a valid federation file",
        "change the lines named above; `srflm config show` prints a complete example",
    )


def _attempt(tree: dict[str, Any], broken: Tables) -> tuple[Federation | None, list[ErrorDetails]]:
    try:
        return Federation.model_validate(tree, context={"broken": broken}), []
    except ValidationError as error:
        return None, error.errors(include_url=False)
