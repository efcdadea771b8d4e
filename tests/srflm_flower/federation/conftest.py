"""The extension of the documents, as pip installs it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from strategies.extensions import _loaded
from tests.srflm_flower.federation.extension_files import shown


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of the distribution that the page shows."""
    source = tmp_path_factory.mktemp("source")
    (source / "pyproject.toml").write_text(shown("toml", "build-system"), encoding="utf-8")
    code = shown("python", "class TwoLayers")
    (source / "example_extension.py").write_text(code, encoding="utf-8")
    (built,) = WheelBuilder(str(source)).build(directory=str(source / "dist"))
    return Path(built)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder on the path for distributions; nothing that came from it stays loaded."""
    folder, before = tmp_path / "site-packages", {*sys.modules}
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    _loaded.cache_clear()
    yield folder
    _loaded.cache_clear()
    for name in {*sys.modules} - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def extension(wheel: Path, place: Path) -> Path:
    """Return the folder in which pip has installed the wheel."""
    words = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(place), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True)
    importlib.invalidate_caches()
    return place
