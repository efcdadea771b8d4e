"""What only people know about a model: its intended use, its limits, who asked for it.

It stands in a small TOML file, and a package without one says that nobody has stated it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, Strict, ValidationError

from strategies.errors import ConfigurationError
from strategies.settings import Settings

NO_USE = (
    "Not stated by the federation. The model is a research result: nobody has assessed it as a"
    " medical device, and it must not be used to decide about a patient."
)
NO_LICENCE = "Not stated: ask the members of the federation before any use."

Lines = Annotated[tuple[str, ...], Strict(False)]


class RequesterSettings(Settings):
    """The person on whose request the model was trained."""

    name: str = Field(min_length=1, description="Name of the person.")
    orcid: str | None = Field(
        default=None,
        pattern=r"^https://orcid\.org/\d{4}-\d{4}-\d{4}-\d{3}[\dX]$",
        description="The person's ORCID, as a URL.",
    )
    organisation: str = Field(min_length=1, description="The organisation that employs the person.")


class ProjectSettings(Settings):
    """The project on behalf of which the data was used."""

    name: str = Field(min_length=1, description="Name of the project.")
    identifier: str | None = Field(
        default=None, description="Its number at the research environment or the ethics board."
    )


class AboutSettings(Settings):
    """What people state about a model; ``srflm export --about`` reads it."""

    intended_use: str = Field(
        default=NO_USE, min_length=1, description="What the model may be used for, and by whom."
    )
    limits: Lines = Field(
        default=(), description="Limits that people know of, besides those that the card computes."
    )
    licence: str = Field(
        default=NO_LICENCE, min_length=1, description="Under which terms the model may be used."
    )
    contact: str | None = Field(default=None, description="Whom to ask about the model.")
    requester: RequesterSettings | None = Field(
        default=None, description="Who asked for the model; left out, nobody is named."
    )
    project: ProjectSettings | None = Field(
        default=None, description="The project; left out, none is named."
    )


def read_about(path: Path) -> AboutSettings:
    """Read the file; raises :class:`ConfigurationError` with all its problems at once."""
    try:
        return AboutSettings.model_validate(tomllib.loads(path.read_bytes().decode("utf-8-sig")))
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror})",
            "a TOML file with what people state about the model",
            "correct the path; docs/how-to/model-package.md has an example",
        ) from error
    except ValidationError as error:
        lines = [
            f"  - {'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_url=False)
        ]
        raise ConfigurationError(
            f"{len(lines)} problem(s) in {path}:\n" + "\n".join(lines),
            "the settings of docs/reference/about-toml.md",
            "change the lines named above",
        ) from error
    except ValueError as error:  # no UTF-8, or no TOML
        raise ConfigurationError(
            f"{path} is not TOML: {error}", "a TOML file", "correct the line"
        ) from error
