"""JSON files with the configurations that a site writes for its own programs."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from strategies.errors import ConfigurationError

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def load_config(model: type[Model], path: Path) -> Model:
    """Read a ``model`` from the JSON file ``path``.

    Raises :class:`ConfigurationError` with all problems of the file.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigurationError(
            f"{path}: {error}", f"a {model.__name__} in JSON", "let the site write it again"
        ) from error
