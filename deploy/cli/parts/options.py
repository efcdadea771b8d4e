"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from srflm_flower.federation.federation import Federation

FederationFile = Annotated[
    Path | None,
    typer.Argument(help="federation.toml; without it the built-in phantom with four vendors"),
]
Rounds = Annotated[int | None, typer.Option(help="instead of run.rounds", min=1)]
Seed = Annotated[int | None, typer.Option(help="instead of the federation's seed", min=0)]


def chosen_federation(
    path: Path | None, rounds: int | None = None, seed: int | None = None
) -> Federation:
    """Return the federation of a file, or the built-in one, changed by the other options."""
    from srflm_flower.federation.loading import (
        built_in_federation,
        load_federation,
        with_changes,
    )

    federation = load_federation(path) if path is not None else built_in_federation()
    changes: dict[str, object] = {}
    if rounds is not None:
        changes["run__rounds"] = rounds  # two underscores lead into a table, here [run]
    if seed is not None:
        changes["seed"] = seed
    return with_changes(federation, **changes) if changes else federation
