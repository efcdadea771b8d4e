"""The agreed bundle: names and a digest of the installed code, the same at every site."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import deploy.flower.bundle
from deploy.flower.bundle import code_digest, installed_bundle, write_bundle_folder


def test_equal_code_gives_an_equal_bundle(tmp_path: Path) -> None:
    assert installed_bundle(tmp_path / "one") == installed_bundle(tmp_path / "other")


def test_bundle_holds_no_code(tmp_path: Path) -> None:
    folder = write_bundle_folder(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["pyproject.toml"]
    assert code_digest() in (folder / "pyproject.toml").read_text()


def test_other_code_gives_another_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = installed_bundle(tmp_path / "before")
    monkeypatch.setattr(deploy.flower.bundle, "code_digest", lambda: "0" * 64)
    assert installed_bundle(tmp_path / "after") != before


# ---- what the digest covers --------------------------------------------------------------------


def answering_files() -> list[Path]:
    """Return the files that the app of a deployed site imports, wherever the import stands."""
    root = Path(deploy.flower.bundle.__file__).parents[2]
    found, open_ = set[Path](), [root / "deploy" / "serving" / "apps.py"]
    while open_:
        path = open_.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [str(node.module), *(f"{node.module}.{each.name}" for each in node.names)]
            elif isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            for name in names:
                parts = name.split(".")
                for end in range(1, len(parts) + 1):
                    place = root.joinpath(*parts[:end])
                    open_ += [
                        p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()
                    ]
    return sorted(found - {root / "deploy" / "__init__.py"})


def test_digest_covers_all_that_can_answer_a_message() -> None:
    answering = answering_files()
    assert len(answering) > 100
    assert set(answering) <= set(deploy.flower.bundle.digested_files())


def test_one_byte_in_any_file_that_answers_gives_another_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agreed = code_digest()
    read = Path.read_bytes
    for changed in answering_files():
        with monkeypatch.context() as patch:
            patch.setattr(
                Path, "read_bytes", lambda path, c=changed: read(path) + b"#" * (path == c)
            )
            assert code_digest() != agreed, changed
