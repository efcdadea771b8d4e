"""The agreed federation file as it may be handed on: with the same identity, and no place in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from srflm_flower.federation.federation import Federation, RunSettings

ELSEWHERE = Path("set-by-each-site")


def without_places(federation: Federation) -> Federation:
    """Return a federation of the same hash that names no file or device of any machine."""
    changes: dict[str, Any] = {
        "run": RunSettings(rounds=federation.run.rounds),
        "vendors": tuple(
            each if each.path is None else each.model_copy(update={"path": ELSEWHERE})
            for each in federation.vendors
        ),
    }
    if getattr(federation.data, "path", None) is not None:
        changes["data"] = federation.data.model_copy(update={"path": ELSEWHERE})
    model = federation.model
    for name in ("initial_weights", "features"):
        table = getattr(model, name)
        if table is not None and table.file is not None:
            moved = table.model_copy(update={"file": Path(table.file.name)})
            model = model.model_copy(update={name: moved})
    return federation.model_copy(update={**changes, "model": model})
