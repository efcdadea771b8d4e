"""Templates and style sheets go wherever the code goes: into the wheel and into a bundle."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

from deploy.flower.internals import bundle_of

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("srflm_flower", "strategies", "clients", "deploy")


def package_data() -> set[Path]:
    """Return every file of the packages that is neither code nor compiled code."""
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*"))
    return {path for path in files if path.is_file() and path.suffix not in (".py", ".pyc")}


def test_wheel_has_the_code_and_every_file_beside_it() -> None:
    builder = WheelBuilder(str(ROOT))
    packed = {Path(file.path) for file in builder.recurse_included_files()}
    assert package_data() <= packed
    assert {path.relative_to(ROOT).parts[0] for path in packed} == set(PACKAGES)


def test_bundle_of_this_repository_has_all_that_the_report_needs() -> None:
    """``flwr run .`` runs the code of such a bundle, and Flower takes few types of files."""
    content, _ = bundle_of(ROOT)
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        names = set(bundle.namelist())
    report = ROOT / "srflm_flower" / "report"
    needed = {path for path in package_data() if report in path.parents}
    assert needed
    assert {path.relative_to(ROOT).as_posix() for path in needed} <= names
