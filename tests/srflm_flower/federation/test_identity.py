"""The identity of a federation survives an upgrade: settings that came later do not change it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, Strict

from clients.settings import TrainingSettings
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.identity import FIRST_SETTINGS
from srflm_flower.federation.loading import built_in_federation, load_federation, with_changes
from srflm_flower.federation.member import Member

EXAMPLES = Path(__file__).parents[3] / "examples"
IDENTITIES = {
    "ct-dicom/federation.toml": (
        "ad74ef3c65405cbc92475b9d2d2ad9ae11c6e433a4f68794525cea75229497ea"
    ),
    "hippocampus/federation.toml": (
        "d97b28c075a70df1a011eb857a1608703f388c2c1569dc4c2b15b43145191d0c"
    ),
    "hippocampus/private.toml": (
        "cfc092040e687db4226fb7f047125d0959ff3a9ab67b17cf6949786ba8f7e434"
    ),
    "mr-phantom/denoising.toml": (
        "25af59f5e6a9d44882b122b7077a2c068ae56ed79581d0eedaf622e981af283b"
    ),
    "mr-phantom/slices.toml": "88f77321d041ce14e1a8127d6a84b0ca19ea78fb506bd95de5ec8ecfbd0c38ed",
    "pbc/by-class.toml": "dd7e0a263cd79c4293c13bf2967964804a402f6680b5a376a8adf3327a247dd0",
    "pbc/dirichlet-0.5.toml": "a69a0be6f75fb73cd8bdf9dc5218b76bf7cd8f0a38c4ee3aa722e43a4cbea6fe",
    "pbc/dirichlet-1.0.toml": "e9d190ffba62a6b28d959181006ae88e6f3371c60ec31906504430f3cda1a77c",
    "pbc/private.toml": "8d051d5186155b30816fc4b1776d31521188309ec824fc6a0290696ec3af6999",
    "pbc/private-features.toml": (
        "f37d4ce9039bbe80fa3da3cfb4705fab255f3ac05f53950254688857c57a07eb"
    ),
    "pbc/private-both-features.toml": (
        "296ec54838b8610759f2c91bfc8034030640296cc021eac7023094ffd5a245b4"
    ),
    "phantom/federation.toml": "621c5cc44305631568e4382e65aec33aea517912617fa3a1db9c5652d69d1e95",
    "phantom-lowdose/federation.toml": (
        "3cdcdd504fca1cc548fa60b568132bbf5a29e217025cb624372c71317d44ce30"
    ),
    "phantom-segmentation/federation.toml": (
        "056968179e6bbe505db43525629bf18758271af8c9ead9a0a71bc73bffd562f0"
    ),
    "phantom/private.toml": "a96404eafc7c1ca9be081941a331a7e9dc36caceb4dec8451ec4112495b4fa4b",
}
"""As they were when the files came; a changed example needs another name here, never another
identity for the same file."""


@pytest.mark.parametrize("name", IDENTITIES)
def test_identity_of_an_example_is_for_ever(name: str) -> None:
    assert load_federation(EXAMPLES / name).hash == IDENTITIES[name]


def test_every_example_is_pinned() -> None:
    found = {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*.toml")}
    assert found == set(IDENTITIES)


class LaterTraining(TrainingSettings):
    """The training settings of a later version."""

    warm_up: int = Field(default=3, alias="warm-up")


class LaterMember(Member):
    """A vendor of a later version."""

    contact: str = ""


class LaterFederation(Federation):
    """A federation of a later version: one more setting at the top, in a table, of each vendor."""

    vendors: Annotated[tuple[LaterMember, ...], Strict(False)] = (LaterMember(name="a"),)
    training: LaterTraining = LaterTraining()
    modality: str | None = None
    modes: tuple[str, ...] = ()


def later(federation: Federation, **changes: Any) -> LaterFederation:
    """Read a federation with a later version, with changes in its tables."""
    plain = federation.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    plain["vendors"] = [{"name": each.name} for each in federation.vendors]
    for name, value in changes.items():
        plain[name] = {**plain.get(name, {}), **value} if isinstance(value, dict) else value
    return LaterFederation.model_validate(plain)


FEDERATIONS = {
    "built in": built_in_federation(4),
    "with other settings": with_changes(
        built_in_federation(3), training__decay=0.5, rounds_per_term=2, run__rounds=4
    ),
}


@pytest.mark.parametrize("name", FEDERATIONS)
def test_later_setting_that_a_file_does_not_mention_changes_nothing(name: str) -> None:
    federation = FEDERATIONS[name]
    assert later(federation).hash == federation.hash
    mentioned = later(federation, training={"warm-up": 3}, modality=None, modes=())
    assert mentioned.hash == federation.hash


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"warm-up": 4}},
        {"modality": "CT"},
        {"modes": ("a",)},
        {"vendors": [{"name": name, "contact": "x"} for name in "abcd"]},
    ],
    ids=str,
)
def test_later_setting_with_another_value_is_agreed_on(changes: dict[str, Any]) -> None:
    federation = with_changes(built_in_federation(4), vendors=[{"name": name} for name in "abcd"])
    assert later(federation, **changes).hash != federation.hash


def test_arguments_of_a_network_are_agreed_on_and_none_change_nothing() -> None:
    named = with_changes(built_in_federation(3), model__network="UNet")
    without = with_changes(named, model__arguments={})
    one, other = (
        with_changes(named, model__arguments={"channels": [4, width], "norm_name": "batch"})
        for width in (8, 16)
    )
    assert named.hash == without.hash
    assert len({each.hash for each in (named, one, other)}) == 3


def test_arguments_keep_the_spelling_of_the_network(tmp_path: Path) -> None:
    path = tmp_path / "federation.toml"
    path.write_text('[model]\nnetwork = "UNet"\narguments = {num_res_units = 2}\n')
    federation = load_federation(path)
    assert federation.model.arguments == {"num_res_units": 2}
    path.write_text(federation.to_toml(), encoding="utf-8")
    assert load_federation(path) == federation


def test_first_settings_are_still_there() -> None:
    """One that is renamed or dropped would change the identity of all federations."""
    dump = Federation().model_dump(mode="json", by_alias=True)
    for table in ("", "aggregation", "data", "election", "model", "privacy", "splits", "training"):
        names = set(FIRST_SETTINGS[table].split())
        present = dump if not table else dump[table]
        of_other_kinds = {"max-examples", "image-size"} if table == "data" else set()
        assert names - of_other_kinds <= set(present), table


def test_initial_weights_are_agreed_on_by_their_hash_wherever_they_lie(tmp_path: Path) -> None:
    path = tmp_path / "federation.toml"

    def read(file: str, sha256: str) -> Federation:
        table = f'[model.initial-weights]\nfile = "{file}"\nsha256 = "{sha256}"\n'
        path.write_text(table, encoding="utf-8")
        return load_federation(path)

    one, elsewhere = read("a.safetensors", "0" * 64), read("/far/b.safetensors", "0" * 64)
    assert one.model.initial_weights is not None
    assert one.model.initial_weights.file == tmp_path / "a.safetensors"
    assert one.hash == elsewhere.hash != read("a.safetensors", "1" * 64).hash
    assert one.hash != built_in_federation(4).hash
    path.write_text(one.to_toml(), encoding="utf-8")
    assert load_federation(path) == one
