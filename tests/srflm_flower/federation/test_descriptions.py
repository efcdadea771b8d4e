"""Every setting says what it means, and what it says is not part of the federation's identity."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from deploy.site.settings import SiteSettings
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from strategies.protocol.records import Edition
from strategies.settings import Settings

PRIVATE_EXAMPLE = Path(__file__).parents[3] / "examples" / "phantom" / "private.toml"
BUILT_IN_IDENTITY = "621c5cc44305631568e4382e65aec33aea517912617fa3a1db9c5652d69d1e95"
PRIVATE_IDENTITY = "a96404eafc7c1ca9be081941a331a7e9dc36caceb4dec8451ec4112495b4fa4b"


def descendants(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield the models of the product; tests may have made some more."""
    for each in kind.__subclasses__():
        if not each.__module__.startswith("tests."):
            yield each
            yield from descendants(each)


FIELDS = {
    f"{model.__name__}.{name}": field
    for model in (*descendants(Settings), Edition)
    for name, field in model.model_fields.items()
}


def test_both_files_are_covered() -> None:
    for model in (Federation, SiteSettings):
        assert {f"{model.__name__}.{name}" for name in model.model_fields} <= FIELDS.keys()


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS.keys())
def test_a_setting_has_a_description_of_one_sentence(field: FieldInfo) -> None:
    text = field.description or ""
    assert re.fullmatch(r"\S.*[^.\s]\.", text)
    assert not re.search(r"[^.]\. +[A-Z]", text), "one sentence"


def test_identities_are_those_of_the_version_before() -> None:
    """A changed default or a new setting changes them, and stops every running federation."""
    assert Federation().hash == BUILT_IN_IDENTITY
    assert load_federation(PRIVATE_EXAMPLE).hash == PRIVATE_IDENTITY


def test_descriptions_are_not_part_of_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    models = {Federation, *(type(getattr(Federation(), name)) for name in Federation.model_fields)}
    for model in models & set(descendants(Settings)):
        for field in model.model_fields.values():
            monkeypatch.setattr(field, "description", "something else")
        model.model_rebuild(force=True)
    try:
        assert Federation().hash == BUILT_IN_IDENTITY
    finally:
        monkeypatch.undo()
        for model in models & set(descendants(Settings)):
            model.model_rebuild(force=True)
