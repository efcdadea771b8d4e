"""A package tells the truth, can be made again, and no change of it goes unnoticed."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from clients.models.model_file import load_model
from deploy.site.export import Export, export_site
from deploy.site.package import today
from deploy.site.package_check import check_package
from srflm_flower.package.about import AboutSettings, ProjectSettings, RequesterSettings
from srflm_flower.package.crate import PROFILE
from srflm_flower.package.manifest import Signature
from strategies.errors import PackageError, SrflmError
from tests.support.deployed import DeployedFederation
from tests.support.tiny import private, tiny_federation

VENDORS = ("a", "b", "c")
ABOUT = AboutSettings(
    intended_use="Triage in the study, under a radiologist.",
    limits=("Adults only.",),
    licence="CC-BY-4.0",
    requester=RequesterSettings(name="R. Quest", organisation="University of Aster"),
    project=ProjectSettings(name="Study 81", identifier="81"),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[DeployedFederation, Export, Path]:
    """Return sites with three of four ordered terms, the last without ``c``, and an export."""
    folder = tmp_path_factory.mktemp("packages")
    sites = DeployedFederation(folder / "f", tiny_federation(folder, VENDORS))
    sites.order("a", rounds=4)
    sites.turn()
    sites.turn()
    sites.down = {"c"}
    sites.turn()
    sites.down = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        export = export_site(sites.site("a"), folder / "out", about=ABOUT)
    return sites, export, folder


@pytest.fixture
def package(made: tuple[DeployedFederation, Export, Path], tmp_path: Path) -> Path:
    """Return a copy of the package's folder, which a test may change."""
    found = made[1].package
    assert found is not None
    return Path(shutil.copytree(found.folder, tmp_path / "copy"))


def test_folder_and_zip_verify_alike_and_tell_the_outcome(
    made: tuple[DeployedFederation, Export, Path],
) -> None:
    sites, export, _ = made
    assert export.package is not None
    federation = sites.site("b").federation.hash
    for path in (export.package.folder, export.package.archive):
        found = check_package(path, federation)
        assert (found.manifest.vendor, found.manifest.federation) == ("a", federation)
        assert len(found.ledger.hashes) == found.ledger.elected == 3
        assert found.card.outcome.startswith("3 of 4 terms; c missed term 3")
        assert found.card.made_on == "2023-11-14"
    assert check_package(export.package.folder, federation[:32])


def test_card_has_counts_roles_and_an_interval_over_patients(
    made: tuple[DeployedFederation, Export, Path], package: Path
) -> None:
    sites, export, _ = made
    card = json.loads((package / "data" / "model-card.json").read_text())
    records = sites.records("a")
    assert {v: each["examples"] for v, each in card["vendors"].items()} == {
        v: next(r.ballots[v].examples for r in reversed(records) if v in r.ballots) for v in VENDORS
    }
    for record in records:
        assert record.term in card["vendors"][record.server]["served"]
    score = card["own_test"]["score"]
    assert 0 <= score["low"] <= score["mean"] <= score["high"] <= 1
    assert score["patients"] == card["own_test"]["metrics"]["examples"] > 1
    assert score["mean"] == pytest.approx(export.test["global"]["accuracy"])
    text = (package / "data" / "model-card.md").read_text()
    assert "**3 of 4 terms; c missed term 3" in text
    assert "Triage in the study" in text and "- Adults only." in text
    assert "bootstrap over" in text and "membership inference" in text


def test_package_holds_no_place_of_any_machine_and_no_model_of_one_vendor(
    made: tuple[DeployedFederation, Export, Path], package: Path
) -> None:
    _, _, folder = made
    files = [path for path in package.rglob("*") if path.is_file()]
    assert not any(str(folder).encode() in path.read_bytes() for path in files)
    assert [path.name for path in files if path.suffix == ".safetensors"] == ["global.safetensors"]
    load_model(package / "data" / "global.safetensors")


def test_equal_exports_give_equal_bytes(
    made: tuple[DeployedFederation, Export, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sites, export, _ = made
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    again = export_site(sites.site("a"), tmp_path / "out", about=ABOUT)
    assert again.package is not None and export.package is not None
    assert again.package.archive.read_bytes() == export.package.archive.read_bytes()
    later = export_site(sites.site("a"), tmp_path / "out")  # in place of the package that is there
    assert later.package is not None
    card = check_package(later.package.folder).card
    assert card.intended_use.startswith("Not stated by the federation")


def test_crate_claims_the_profile_only_with_what_people_must_tell(
    made: tuple[DeployedFederation, Export, Path], package: Path, tmp_path: Path
) -> None:
    graph = json.loads((package / "data" / "ro-crate-metadata.json").read_text())["@graph"]
    entities = {each["@id"]: each for each in graph}
    root = entities["./"]
    assert root["conformsTo"] == {"@id": PROFILE} and PROFILE in entities
    assert entities[root["mainEntity"]["@id"]]["conformsTo"]["@id"].endswith("ro-crate/1.0")
    action = entities[root["mentions"][0]["@id"]]
    assert entities[action["agent"]["@id"]]["@type"] == "Person"
    assert entities[root["sourceOrganization"]["@id"]]["@type"] == "Project"
    # Every reference within the crate leads to an entity.
    named = [each["@id"] for entity in graph for each in references(entity)]
    known = {*entities, "https://w3id.org/ro/crate/1.2"}
    assert [n for n in named if n not in known and not n.startswith("http://schema.org/")] == []
    plain = export_site(made[0].site("a"), tmp_path / "out")
    assert plain.package is not None
    text = (plain.package.folder / "data" / "ro-crate-metadata.json").read_text()
    assert PROFILE not in text


def references(value: object) -> list[dict[str, str]]:
    """Return every ``{"@id": …}`` below a value that is a reference alone."""
    if isinstance(value, list):
        return [found for each in value for found in references(each)]
    if not isinstance(value, dict):
        return []
    if set(value) == {"@id"}:
        return [value]
    return [found for each in value.values() for found in references(each)]


def test_every_changed_missing_or_added_file_is_named(package: Path) -> None:
    names = [p.relative_to(package).as_posix() for p in package.rglob("*") if p.is_file()]
    assert len(names) > 10
    for name in names:
        path = package / name
        content = path.read_bytes()
        for changed in (content + b"\n", b"", None):
            path.unlink() if changed is None else path.write_bytes(changed)
            with pytest.raises(PackageError) as raised:
                check_package(package)
            assert name in raised.value.found
            path.write_bytes(content)
    (package / "data" / "more.txt").write_text("unlisted")
    with pytest.raises(PackageError, match=r"data/more.txt is not in manifest.json"):
        check_package(package)


def test_manifest_that_another_has_signed_is_refused(
    made: tuple[DeployedFederation, Export, Path], package: Path
) -> None:
    """Whoever changes a file can write the hashes anew, but not the signature."""
    manifest = json.loads((package / "manifest.json").read_text())
    statement = b"anything"
    forged = made[0].site("b").keys.sign(statement)
    signature = Signature(vendor="a", manifest="0" * 64, signature=forged)
    (package / "signature.json").write_text(signature.model_dump_json(indent=2) + "\n")
    rewrite_tags(package)
    with pytest.raises(PackageError, match="has not signed") as raised:
        check_package(package)
    assert raised.value.code == PackageError.NOT_SIGNED
    assert manifest["vendor"] == "a"


def test_manifest_that_lists_too_little_is_refused(package: Path) -> None:
    path = package / "manifest.json"
    told = json.loads(path.read_text())
    for name in ("bagit.txt", "data/certified-ledger.jsonl"):
        less = {**told, "files": {n: each for n, each in told["files"].items() if n != name}}
        path.write_text(json.dumps(less))
        with pytest.raises(PackageError, match=f"without {name}") as raised:
            check_package(package)
        assert raised.value.code == PackageError.NO_PACKAGE


def rewrite_tags(package: Path) -> None:
    """Write the list of the bag's own files anew, as somebody would who has changed one."""
    from srflm_flower.package.bag import TAGS, tag_manifest

    tags = {p.name: p.read_bytes() for p in package.iterdir() if p.is_file() and p.name != TAGS}
    (package / TAGS).write_bytes(tag_manifest(tags))


def test_package_of_another_federation_is_refused(package: Path) -> None:
    with pytest.raises(PackageError, match="is expected") as raised:
        check_package(package, "0" * 64)
    assert raised.value.code == PackageError.NOT_SIGNED


def test_site_that_signs_what_its_ledger_does_not_say_is_found(
    made: tuple[DeployedFederation, Export, Path], package: Path
) -> None:
    """A site can sign anything; the votes of the others it cannot."""
    from srflm_flower.package.manifest import Listed, Manifest, package_statement

    card = package / "data" / "model-card.json"
    told = json.loads(card.read_text())
    told["outcome"] = "4 of 4 terms"
    card.write_text(json.dumps(told))
    site = made[0].site("a")
    manifest = Manifest.model_validate_json((package / "manifest.json").read_bytes())
    files = {**manifest.files, "data/model-card.json": Listed.of(card.read_bytes())}
    content = manifest.model_copy(update={"files": files}).content
    (package / "manifest.json").write_bytes(content)
    statement = package_statement("a", manifest.federation, content)
    signature = Signature(
        vendor="a", manifest=Listed.of(content).sha256, signature=site.keys.sign(statement)
    )
    (package / "signature.json").write_text(signature.model_dump_json(indent=2) + "\n")
    rewrite_tags(package)
    with pytest.raises(PackageError, match="another thing of the outcome") as raised:
        check_package(package)
    assert raised.value.code == PackageError.CONTRADICTS


@pytest.mark.parametrize(
    ("name", "compression", "said"),
    [
        ("p/../../evil", zipfile.ZIP_STORED, "the name"),
        ("/evil", zipfile.ZIP_STORED, "the name"),
        ("flat", zipfile.ZIP_STORED, "the name"),
        ("p/big", zipfile.ZIP_DEFLATED, "unpack it"),
    ],
)
def test_zip_that_would_do_harm_is_refused(
    name: str, compression: int, said: str, tmp_path: Path
) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"0" * 1000, compression)
    path = tmp_path / "package.zip"
    path.write_bytes(content.getvalue())
    with pytest.raises(PackageError, match=said):
        check_package(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all"])
def test_file_that_is_no_zip_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "package.zip"
    path.write_bytes(content)
    with pytest.raises(PackageError, match="nothing that can be read"):
        check_package(path)


def test_folder_of_something_else_is_not_overwritten(
    made: tuple[DeployedFederation, Export, Path], tmp_path: Path
) -> None:
    (tmp_path / "out" / "package").mkdir(parents=True)
    (tmp_path / "out" / "package" / "thesis.txt").write_text("mine")
    with pytest.raises(SrflmError, match="something else lies"):
        export_site(made[0].site("a"), tmp_path / "out")
    assert (tmp_path / "out" / "package" / "thesis.txt").read_text() == "mine"


def test_private_site_hands_on_no_figure_of_its_test_data(tmp_path: Path) -> None:
    sites = DeployedFederation(tmp_path / "f", private(tmp_path))
    sites.order("a", rounds=1)
    sites.turn()
    export = export_site(sites.site("a"), tmp_path / "out")
    assert export.package is not None
    card = check_package(export.package.folder).card
    assert card.own_test is None and card.own_test_withheld
    assert set(card.epsilon) == set(VENDORS) and "differentially private" in card.privacy
    assert {each.examples for each in card.vendors.values()} == {20}, "the public sizes"
    text = (export.package.folder / "data" / "model-card.md").read_text()
    assert "Exact figures on test data are not here" in text and "patients;" not in text


def test_day_can_be_set_from_outside() -> None:
    assert today({"SOURCE_DATE_EPOCH": "0"}) == "1970-01-01"
    assert today({"SOURCE_DATE_EPOCH": "soon"}) == today({})
