"""The agreed bundle: names and a digest of the installed code, the same at every site."""

from __future__ import annotations

from pathlib import Path

import pytest

import deploy.bundle
from deploy.bundle import code_digest, installed_bundle, write_bundle_folder


def test_equal_code_gives_an_equal_bundle(tmp_path: Path) -> None:
    assert installed_bundle(tmp_path / "one") == installed_bundle(tmp_path / "other")


def test_bundle_holds_no_code(tmp_path: Path) -> None:
    folder = write_bundle_folder(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["pyproject.toml"]
    assert code_digest() in (folder / "pyproject.toml").read_text()


def test_other_code_gives_another_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = installed_bundle(tmp_path / "before")
    monkeypatch.setattr(deploy.bundle, "code_digest", lambda: "0" * 64)
    assert installed_bundle(tmp_path / "after") != before
