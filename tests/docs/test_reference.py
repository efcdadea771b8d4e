"""The reference pages say what the code says; `make reference` mends those that do not."""

from __future__ import annotations

import re

import pytest

from docs.generate import (
    ABOUT_SECTIONS,
    FEDERATION_SECTIONS,
    FOLDER,
    PAGES,
    QUERY_SECTIONS,
    SITE_SECTIONS,
    documented_codes,
)
from srflm_flower import client_app
from strategies.errors import INTERNAL_ERROR, NO_REPLY, SrflmError
from strategies.phases import PHASE_OF
from strategies.settings import Settings
from tests.srflm_flower.federation.test_descriptions import descendants


@pytest.mark.parametrize("name", PAGES)
def test_generated_page_is_up_to_date(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), f"docs/reference/{name} is old: run `make reference`"


def test_every_table_of_settings_is_on_a_page() -> None:
    pages = (FEDERATION_SECTIONS, SITE_SECTIONS, QUERY_SECTIONS, ABOUT_SECTIONS)
    shown = {model for sections in pages for _, model in sections}
    below = {model for model in descendants(Settings) if not [*descendants(model)]}
    assert below <= shown


def test_every_code_says_what_it_means_and_how_to_resolve_it() -> None:
    documented = {code: text for _, _, code, text in documented_codes()}
    codes = [code for kind in SrflmError.__subclasses__() for code in kind.codes]
    assert list(documented) == [*codes, INTERNAL_ERROR, NO_REPLY]
    for text in documented.values():
        assert re.fullmatch(r"[A-Z].*[a-z)]\. [A-Z].*\.", text), text


def test_page_of_messages_has_every_message_that_a_site_answers() -> None:
    text = (FOLDER / "messages.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `((?:query|train|evaluate)\.[a-z]+)` \|", text, re.MULTILINE))
    assert listed == set(client_app.app._registered_funcs)


def test_page_of_messages_names_the_phase_of_each_message() -> None:
    section = (FOLDER / "messages.md").read_text(encoding="utf-8").split("## In a term")[1]
    rows = [line.split("|") for line in section.split("## To catch up")[0].splitlines()]
    phases = {row[1].strip(" `"): row[5].strip() for row in rows if len(row) > 6 and "`" in row[1]}
    assert {name: phase.replace("-", "") for name, phase in phases.items()} == PHASE_OF
