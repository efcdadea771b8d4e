"""A new ``site.toml`` names every setting, and sets only what was chosen."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from deploy.site.settings import SiteSettings, site_settings
from deploy.site.site_file import site_toml

CHOSEN: list[dict[str, Any]] = [
    {"vendor": "aster", "listen": "0.0.0.0:8443"},
    {"vendor": "aster", "data": "/srv/images", "threads": 2},
    {"vendor": "aster", "privacy": {"ledger": "owner/ledger.sqlite", "max-epsilon": 4.0}},
    {"vendor": "aster", "pacs": {"address": "https://pacs.example.org/dicom-web"}},
]


@pytest.mark.parametrize("given", CHOSEN)
def test_text_sets_what_was_chosen_and_nothing_else(given: dict[str, Any]) -> None:
    assert tomllib.loads(site_toml(given)) == given


def test_every_setting_is_named() -> None:
    text = site_toml(CHOSEN[0])
    for name, field in SiteSettings.model_fields.items():
        assert re.search(rf"^(# )?(\[{name}\]|{field.alias or name} = )", text, re.M), name


def test_defaults_in_comments_are_the_defaults() -> None:
    """With every "#" before a default taken away, the settings are the same."""
    text = site_toml(CHOSEN[0]).partition("# This site's own PACS")[0]
    plain = re.sub(r"^# (?=\[|[a-z-]+ = )", "", text, flags=re.M)
    written = "\n".join(line for line in plain.splitlines() if "(left out)" not in line)
    assert written.count(" = ") > 10
    file = Path("/site/site.toml")
    assert site_settings(written.encode(), file) == site_settings(text.encode(), file)
