"""Files that sites and the consortium send each other: a wrong one gives one clear error."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from strategies.errors import ConfigurationError

Model = TypeVar("Model", bound=BaseModel)
MOST_BYTES: Final = 16 * 2**20
_KNOWN: Final = {
    "vendors": "a federation file",
    "listen": "a site.toml",
    "authority": "a consortium's answer",
    "spare_node_keys": "a request",
    "asks": "a member's request to leave, or for new keys",
    "node_keys": "a membership.toml",
    "signatures": "a file of signatures",
}
"""A key that only files of this kind have at their top."""


def read_toml(model: type[Model], path: Path, what: str, mend: str) -> Model:
    """Read a ``model`` from the TOML file ``path``; ``what`` says which file is expected.

    Raises :class:`ConfigurationError` that says which file it is instead, or what is wrong in it.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _wrong(f"{path}, of more than {MOST_BYTES // 2**20} MiB", what, mend)
        tree = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise _wrong(f"{path}, which cannot be read ({error.strerror})", what, mend) from error
    except ValueError as error:
        raise _wrong(f"{path}, which is not TOML ({error})", what, mend) from error
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise _wrong(f"{path}, {_instead(tree, model, error)}", what, mend) from None


def _instead(tree: dict[str, Any], model: type[BaseModel], error: ValidationError) -> str:
    """Return in one line what the file is, or which of its keys are wrong."""
    for key, kind in _KNOWN.items():
        if key in tree and key not in model.model_fields:
            return f"which is {kind}"
    wrong = {str(each["loc"][0]) for each in error.errors(include_url=False) if each["loc"]}
    return f"with missing, unknown, or wrong keys: {', '.join(sorted(wrong)[:8])}"


def _wrong(found: str, what: str, mend: str) -> ConfigurationError:
    return ConfigurationError(found, what, mend)
