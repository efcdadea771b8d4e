"""A path in a settings file: ``~`` is the user's home, and a path that names nothing is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Strict


def _usable_path(value: object) -> object:
    """Expand ``~`` at the beginning; refuse a path that cannot name anything."""
    if not isinstance(value, str | Path):
        return value
    if not str(value).strip() or "\0" in str(value):
        raise ValueError("expected the path of a file or folder; write it in full")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError("expected a user with a home folder after ~; write it in full") from None


DataPath = Annotated[Path, Strict(False), BeforeValidator(_usable_path)]
