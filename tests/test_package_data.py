"""Templates and style sheets go wherever the code goes: into the wheel and into a bundle."""

from __future__ import annotations

import io
import tomllib
import zipfile
from pathlib import Path

from deploy.flower.internals import bundle_of

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("srflm_flower", "strategies", "clients", "deploy")


def package_data() -> set[Path]:
    """Return every file of the packages that is neither code nor compiled code."""
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*"))
    return {path for path in files if path.is_file() and path.suffix not in (".py", ".pyc")}


def test_wheel_takes_every_file_that_is_not_code() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["*"]
    assert package_data()
    left_out = {p for p in package_data() if not any(p.match(pattern) for pattern in patterns)}
    assert left_out == set()


def test_bundle_of_this_repository_has_all_that_the_report_needs() -> None:
    """``flwr run .`` runs the code of such a bundle, and Flower takes few types of files."""
    content, _ = bundle_of(ROOT)
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        names = set(bundle.namelist())
    report = ROOT / "srflm_flower" / "report"
    needed = {path for path in package_data() if report in path.parents}
    assert needed
    assert {path.relative_to(ROOT).as_posix() for path in needed} <= names
