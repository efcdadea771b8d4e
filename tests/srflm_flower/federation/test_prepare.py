"""The agreed window: part of the identity once it is set, and of every model file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.federation_files import loaded, problems_of

FILES = """
vendors = [{name = "a", path = "x"}, {name = "b", path = "y"}]
[data]
source = "files"
"""
IDENTITY = "9737623bc4196b5dfebb211e1f26c3110f6df0c4c31746db4d5b315d11683625"
"""Of the file above, before windows came."""


@pytest.mark.parametrize("later", ["", "[data.prepare]"])
def test_identity_without_a_window_is_what_it_was(tmp_path: Path, later: str) -> None:
    federation = loaded(tmp_path, FILES + later)
    assert federation.hash == IDENTITY
    assert federation.model_notes() == {"federation": IDENTITY}


def test_window_is_agreed_on_and_goes_into_every_model_file(tmp_path: Path) -> None:
    one, same, other = (
        loaded(tmp_path, f"{FILES}[data.prepare]\nwindow = {window}")
        for window in ([-160, 240], [-160.0, 240.0], [-1024, 1024])
    )
    assert IDENTITY != one.hash == same.hash != other.hash
    assert one.model_notes() == {"federation": one.hash, "window": (-160, 240)}
    assert loaded(tmp_path, one.to_toml()) == one


@pytest.mark.parametrize(
    ("window", "problem"),
    [
        ("[240, -160]", "window: found [240, -160]; expected a low and a high value"),
        ("[1, 1]", "window: found [1, 1]; expected a low and a high value"),
        ("[1]", "window.1: found nothing; expected a value"),
        ("[1, 2, 3]", "window: found [1, 2, 3]; expected an array of at most 2"),
        ("[0, inf]", "window.1: found inf; expected a finite number"),
        ("40", "window: found 40; expected an array"),
    ],
)
def test_window_that_is_none_is_refused(tmp_path: Path, window: str, problem: str) -> None:
    found = problems_of(tmp_path, f"{FILES}[data.prepare]\nwindow = {window}")
    assert f"data.prepare.{problem}" in found


def test_only_a_vendors_own_images_have_a_window(tmp_path: Path) -> None:
    text = "data = {source = 'phantom', prepare = {window = [0, 1]}}"
    assert "data.prepare: found an unknown key" in problems_of(tmp_path, text)
