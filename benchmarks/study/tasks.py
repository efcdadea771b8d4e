"""The file of a study: tasks, methods, and seeds."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from srflm_flower.comparison.result import METHODS, Method
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation, with_changes
from strategies.errors import ConfigurationError
from strategies.settings import kebab

TABLE = ConfigDict(frozen=True, extra="forbid", alias_generator=kebab, populate_by_name=True)
Methods = Annotated[tuple[Method, ...], Strict(False)]


class StudyTask(BaseModel):
    """A federation, perhaps changed, on which methods are compared."""

    model_config = TABLE

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$", description="Its name.")
    federation: str = Field(description="The federation file, from the study's folder.")
    changes: dict[str, Any] = Field(
        default={}, description='Settings in place of the file\'s, such as "data.heterogeneity".'
    )
    seeds: int | None = Field(default=None, ge=1, description="Seeds, if others than the study's.")
    leave_out_methods: Methods = Field(default=(), description="Methods that it cannot run.")

    def methods(self, study: Study) -> list[Method]:
        """Return the study's methods but those left out, in the usual order of a table."""
        return [m for m in METHODS if m in study.methods and m not in self.leave_out_methods]

    def load(self, folder: Path) -> Federation:
        """Return the federation with its changes; raises :class:`ConfigurationError`."""
        federation = load_federation((folder / self.federation).resolve())
        changed = {
            path.replace(".", "__").replace("-", "_"): value for path, value in self.changes.items()
        }
        # On the CPU the runs of several methods can go on side by side.
        return with_changes(federation, run__device="cpu", **changed)


class Study(BaseModel):
    """All of a study."""

    model_config = TABLE

    methods: Methods = Field(description="Methods in pairs of the same seed.")
    seeds: int = Field(default=5, ge=1, description="How many, from each federation's seed up.")
    tasks: Annotated[tuple[StudyTask, ...], Strict(False)] = Field(description="The tasks.")


def load_study(path: Path) -> Study:
    """Read the file of a study; raises :class:`ConfigurationError` if it is no such file."""
    try:
        return Study.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigurationError(
            f"{path.name}: {error}", "a study as in benchmarks/study/study.toml", "correct the file"
        ) from error
