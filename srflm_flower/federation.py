"""``federation.toml``: what all members agree on, checked as a whole before anything starts.

Its defaults are the built-in demonstration: four vendors and the CT phantom.  The hash of the
agreed part is the federation's identity and rides in every message.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import Field, Strict, ValidationError, ValidationInfo, model_validator
from pydantic_core import ErrorDetails

from clients.data.sources import DataPlan
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
    place,
    problems_between_tables,
    problems_within,
)
from srflm_flower.member import Member
from srflm_flower.records import Edition, canonical_json
from strategies.settings import AggregationSettings, ElectionSettings, Settings, kebab
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
    """A federation: roster, task, data, model, training, election, aggregation, and the run.

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
    run: RunSettings = RunSettings()

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
    tree = _read(path)
    for table in [tree.get("data"), *_array(tree.get("vendors"))]:
        if isinstance(table, dict) and isinstance(table.get("path"), str):
            table["path"] = _from_folder(path.parent, table["path"])
    respelled: dict[Location, str] = {}
    return _validated(_in_kebab_case(tree, respelled), str(path), respelled)


def _read(path: Path) -> dict[str, Any]:
    """Return the file's tables; a byte order mark, as Windows editors write it, is no error."""
    example = "`srflm config show` prints a complete example"
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except IsADirectoryError as error:
        raise ConfigurationError(
            f"{path} is a folder",
            "a federation file",
            f"name the file in it, as {path / 'federation.toml'}; {example}",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror})",
            "a federation file",
            f"correct the path; {example}",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path} is not TOML: byte {error.start + 1} is not UTF-8 text",
            "a TOML file",
            "save it as UTF-8 text",
        ) from error
    except ValueError as error:  # of TOML, of a number too long, of NUL in the path
        raise ConfigurationError(
            f"{str(path)!r} is not TOML: {error}",
            "a TOML file",
            f"correct the line, or the path; {example}",
        ) from error


def _from_folder(folder: Path, path: str) -> str:
    """Return the path from this folder; one that the check will refuse or expand as it is."""
    if not path.strip() or path.startswith("~") or "\0" in path:
        return path
    return str((folder / path).resolve())


def _array(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _in_kebab_case(value: Any, respelled: dict[Location, str], at: Location = ()) -> Any:
    """Return the tree with ``-`` for ``_`` in keys; ``respelled`` gets place → key as found."""
    if isinstance(value, list):
        return [_in_kebab_case(each, respelled, (*at, n)) for n, each in enumerate(value)]
    if not isinstance(value, dict):
        return value
    tree = {}
    for key, each in value.items():
        here = (*at, kebab(key))
        if here[-1] != key:
            respelled[here] = key
        if key == "node-keys":  # its keys are vendors' names
            tree[key] = each
        elif here[-1] == key or here[-1] not in value:
            tree[here[-1]] = _in_kebab_case(each, respelled, here)
    return tree


def _validated(
    tree: dict[str, Any], where: str, respelled: Mapping[Location, str] = MappingProxyType({})
) -> Federation:
    federation, errors = _attempt(tree, frozenset())
    if federation is not None and not respelled:
        return federation
    if any(error["loc"] for error in errors):
        errors += _attempt(*_without_broken(tree, errors))[1]
    problems = _misspelled(errors, respelled)
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


def _without_broken(
    tree: dict[str, Any], errors: list[ErrorDetails]
) -> tuple[dict[str, Any], Tables]:
    """Return what is left of the tree when its broken tables are out, and their names.

    Of ``vendors`` the tables that are right stay.  An unknown key does not break its table.
    """
    rest = deepcopy(tree)
    locations = [place(error["loc"]) for error in errors if error["type"] != "extra_forbidden"]
    for error in errors:
        if error["type"] == "extra_forbidden":
            _remove(rest, place(error["loc"]))
    broken = frozenset(str(location[0]).replace("-", "_") for location in locations)
    wrong = {location[1] for location in locations if location[0] == "vendors" and location[1:]}
    vendors = [each for n, each in enumerate(_array(rest.get("vendors"))) if n not in wrong]
    rest = {key: each for key, each in rest.items() if key.replace("-", "_") not in broken}
    return rest | ({"vendors": vendors} if "vendors" in broken else {}), broken


def _remove(tree: Any, location: Location) -> None:
    for part in location[:-1]:
        tree = tree[part]
    del tree[location[-1]]


def _misspelled(errors: list[ErrorDetails], respelled: Mapping[Location, str]) -> list[str]:
    """Return the keys that are right but for ``_``; unknown ones get their spelling back."""
    problems, unknown = [], set()
    for error in errors:
        location = place(error["loc"])
        if error["type"] == "extra_forbidden" and location in respelled:
            unknown.add(location)
            error["loc"] = (*error["loc"][:-1], respelled[location])
    for location, key in respelled.items():
        if location not in unknown:
            where = ".".join(map(str, (*location[:-1], key)))
            problems.append(f"{where}: found {key}; expected {location[-1]}; rename it")
    return problems
