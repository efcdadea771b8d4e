"""The agreed preparation: part of the identity once it is set, and of every model file."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.models.model_file import ModelFile, read_model_file
from clients.preparation.settings import PrepareSettings
from clients.settings import FileData
from strategies.errors import RunFolderError
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


def test_all_that_is_set_is_agreed_on_and_nothing_else(tmp_path: Path) -> None:
    def named(more: str) -> str:
        return loaded(tmp_path, FILES + more).hash

    assert named("[data.prepare]\npercentiles = [1, 99]") == IDENTITY
    assert named("[data.augment]\nflip-probability = 0.5") == IDENTITY
    tables = (
        *("prepare.orientation = 'RAS'", "prepare.spacing = 1", "prepare.spacing = 2"),
        *("prepare.normalise = 'z-score'", "prepare.normalise = 'percentile'"),
        *("prepare.size = 64", "augment.flip = [0]", "augment.flip = [1]", "augment.noise = 0.1"),
        *("augment = {noise = 0.1, noise-probability = 0.5}",),
    )
    assert len({IDENTITY, *map(named, tables)}) == len(tables) + 1
    assert named("prepare.spacing = 1") == named("prepare.spacing = [1.0]")


@pytest.mark.parametrize("source", ["phantom", "npz"])
def test_other_sources_have_augmentation_too(tmp_path: Path, source: str) -> None:
    path = "path = 'x.npz'" if source == "npz" else ""
    plain, named, changed = (
        loaded(tmp_path, f"[data]\nsource = '{source}'\n{path}\n{more}")
        for more in ("", "[data.augment]", "[data.augment]\ngamma = [0.8, 1.2]")
    )
    assert plain.hash == named.hash != changed.hash
    assert changed.data.augment.gamma == (0.8, 1.2)
    assert plain.model_notes() == {**changed.model_notes(), "federation": plain.hash}


def test_preparation_goes_into_every_model_file(tmp_path: Path) -> None:
    prepare = "orientation = 'RAS'\nspacing = [1.5, 2]\nwindow = [0, 80]\nsize = [32, 48]"
    federation = loaded(tmp_path, f"{FILES}[data.prepare]\n{prepare}")
    assert federation.image_shape == (32, 48)
    notes = federation.model_notes()
    assert notes["image-shape"] == (32, 48) and "window" not in notes
    assert notes["prepare"] == {
        "orientation": "RAS",
        "spacing": [1.5, 2.0],
        "window": [0.0, 80.0],
        "size": [32, 48],
    }
    assert loaded(tmp_path, federation.to_toml()) == federation
    file = ModelFile(federation.model, federation.task, {}, notes)
    file.write(tmp_path / "model.safetensors")
    assert isinstance(federation.data, FileData)
    assert read_model_file(tmp_path / "model.safetensors").prepare == federation.data.prepare


def test_size_of_one_number_is_that_of_all_sides(tmp_path: Path) -> None:
    federation = loaded(tmp_path, f"{FILES}prepare.size = 24\n[task]\nspatial-dims = 3")
    assert federation.image_shape == (24, 24, 24)
    assert federation.model_notes()["image-size"] == 24


def test_model_file_of_older_versions_has_a_window_or_nothing(tmp_path: Path) -> None:
    federation = loaded(tmp_path, FILES)
    path = tmp_path / "model.safetensors"
    for notes, expected in (
        ({}, PrepareSettings()),
        ({"window": [-160, 240]}, PrepareSettings(window=(-160, 240))),
    ):
        ModelFile(federation.model, federation.task, {}, notes).write(path)
        assert read_model_file(path).prepare == expected
    ModelFile(federation.model, federation.task, {}, {"prepare": {"size": -1}}).write(path)
    with pytest.raises(RunFolderError, match="damaged srflm-model-1 header"):
        read_model_file(path)
