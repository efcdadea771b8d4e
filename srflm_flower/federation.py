"""``federation.toml``: what all members agree on, checked as a whole before anything starts.

Its defaults are the built-in demonstration: four vendors and the CT phantom.  The hash of the
agreed part is the federation's identity and rides in every message.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import Field, ValidationError, model_validator

from clients.data.sources import DataPlan
from clients.settings import (
    ByClassPartition,
    DataSettings,
    FileData,
    ModelSettings,
    NpzData,
    PhantomData,
    SplitSettings,
    TaskSettings,
    TrainingSettings,
    VendorSettings,
)
from srflm_flower.errors import ConfigurationError
from srflm_flower.records import canonical_json
from strategies.settings import AggregationSettings, ElectionSettings, Settings
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
    """A federation: roster, task, data, model, training, election, aggregation, and the run."""

    name: str = Field(default="phantom", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")
    seed: int = Field(default=65, ge=0)
    rounds_per_term: int = Field(default=1, ge=1)
    vendors: tuple[VendorSettings, ...] = tuple(VendorSettings(name=v) for v in BUILT_IN_VENDORS)
    task: TaskSettings = TaskSettings()
    data: DataSettings = PhantomData()
    splits: SplitSettings = SplitSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    election: ElectionSettings = ElectionSettings()
    aggregation: AggregationSettings = AggregationSettings()
    run: RunSettings = RunSettings()

    @model_validator(mode="after")
    def _tables_fit_together(self) -> Federation:
        problems = list(self._roster_problems()) + list(self._data_problems())
        if self.run.rounds % self.rounds_per_term:
            problems.append(
                f"run.rounds: found {self.run.rounds}; expected a multiple of rounds-per-term"
                f" ({self.rounds_per_term}); change one of them"
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _roster_problems(self) -> list[str]:
        names, problems = self.roster, []
        if len(names) < 2:
            problems.append(
                f"vendors: found {len(names)}; expected at least two; add a [[vendors]] table"
            )
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            problems.append(
                f"vendors: found {', '.join(twice)} more than once; expected different names;"
                " rename one"
            )
        if self.election.server is not None and self.election.server not in names:
            problems.append(
                f"election.server: found {self.election.server!r}; expected one of"
                f" {', '.join(names)}; correct the name"
            )
        if self.aggregation.min_clients > len(names) - 1:
            problems.append(
                f"aggregation.min-clients: found {self.aggregation.min_clients}; expected at most"
                f" {len(names) - 1}, all vendors but the server; lower it"
            )
        return problems

    def _data_problems(self) -> list[str]:
        problems = []
        for vendor in self.vendors:
            if isinstance(self.data, FileData) and vendor.path is None:
                problems.append(
                    f"vendors.{vendor.name}.path: found nothing; expected this vendor's file or"
                    ' folder, as data.source is "files"; add path = "…"'
                )
            if not isinstance(self.data, NpzData):
                continue
            by_class = isinstance(self.data.partition, ByClassPartition)
            if by_class and not vendor.classes:
                problems.append(
                    f"vendors.{vendor.name}.classes: found nothing; expected this vendor's labels,"
                    ' as data.partition.kind is "by-class"; add classes = […]'
                )
            for label in vendor.classes or ():
                if not 0 <= label < len(self.task.classes):
                    problems.append(
                        f"vendors.{vendor.name}.classes: found {label}; expected 0 to"
                        f" {len(self.task.classes) - 1}; correct it, or complete task.classes"
                    )
        return problems

    @property
    def roster(self) -> tuple[str, ...]:
        """The vendors' names in their agreed order."""
        return tuple(vendor.name for vendor in self.vendors)

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of all that members agree on: everything but ``run`` and data paths."""
        agreed = self.model_dump(mode="json", by_alias=True, exclude={"run": True})
        agreed["data"].pop("path", None)
        for vendor in agreed["vendors"]:
            vendor.pop("path", None)
        return hashlib.sha256(canonical_json(agreed)).hexdigest()

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
        )

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
        return tomli_w.dumps(tree)


def built_in_federation(vendors: int = len(BUILT_IN_VENDORS)) -> Federation:
    """Return the demonstration federation with this many vendors."""
    names = [*BUILT_IN_VENDORS, *(f"vendor-{n}" for n in range(len(BUILT_IN_VENDORS), vendors))]
    return _validated({"vendors": [{"name": name} for name in names[:vendors]]}, "the roster")


def load_federation(path: Path) -> Federation:
    """Read a federation file; relative data paths in it start at its own folder.

    Raises :class:`ConfigurationError` with all problems at once.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror})",
            "a federation file",
            "correct the path; `srflm config show` prints a complete example",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path} is not TOML: {error}",
            "a TOML file",
            "correct the line; `srflm config show` prints a complete example",
        ) from error
    for table in [tree.get("data"), *_tables(tree.get("vendors"))]:
        if isinstance(table, dict) and isinstance(table.get("path"), str):
            table["path"] = str((path.parent / table["path"]).resolve())
    return _validated(tree, str(path))


def _tables(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []


def _validated(tree: dict[str, Any], where: str) -> Federation:
    try:
        return Federation.model_validate(tree)
    except ValidationError as error:
        problems = [problem for each in error.errors() for problem in _problems(each)]
        raise ConfigurationError(
            f"{len(problems)} problem(s) in {where}:\n" + "\n".join(f"  - {p}" for p in problems),
            "a valid federation file",
            "change the lines named above; `srflm config show` prints a complete example",
        ) from error


def _problems(error: Any) -> list[str]:
    """Return what pydantic found, one line each: where, what was found, what was expected."""
    if error["type"] == "value_error" and not error["loc"]:
        return str(error["ctx"]["error"]).splitlines()
    tags = ("phantom", "npz", "files", "dirichlet", "by-class")
    where = ".".join(str(part) for part in error["loc"] if part not in tags) or "the file"
    if error["type"] == "extra_forbidden":
        return [f"{where}: found an unknown key; expected a documented one; correct or remove it"]
    if error["type"] == "missing":
        return [f"{where}: found nothing; expected a value; add it"]
    expected = error["msg"].removeprefix("Value error, ")
    return [f"{where}: found {_short(error['input'])}; expected: {expected}; change it"]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
