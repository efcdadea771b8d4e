"""``[model.features]`` of a federation file: what does not fit is named, with the mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, load_federation, with_changes
from srflm_flower.federation.successor import check_successor, successor
from strategies.errors import ConfigurationError

WAVELETS: dict[str, Any] = {
    "model__network": "linear",
    "model__features": {"kind": "scattering"},
}
LITE = {"kind": "efficientnet-lite0", "file": "a.safetensors", "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"model__features": None}, "model.network: found 'linear' without [model.features]"),
        ({"model__network": "resnet18"}, "model.network: found 'resnet18' with [model.features]"),
        ({"model__features": {**LITE, "file": None}}, "model.features.file: found nothing"),
        ({"model__features": {**LITE, "sha256": None}}, "model.features.sha256: found nothing"),
        ({"model__features": {"kind": "both"}}, "model.features.file: found nothing"),
        ({"model__features": {**LITE, "sha256": "0"}}, "model.features.sha256: found '0'"),
        ({"model__features": {**LITE, "kind": "scattering"}}, "wavelets have no weights"),
        ({"model__features": {"kind": "resnet"}}, "model.features.kind: found 'resnet'"),
        ({"model__features": {"kind": "scattering", "side": 50}}, "a multiple of 16"),
        ({"model__features": LITE, "task__channels": 2}, "for 2 channels; expected 1 or 3"),
        ({"privacy__copies": 2}, "privacy.copies: found 2 with [model.features]"),
        ({"data__augment": {"flip": [0]}}, "data.augment: found changes of images"),
    ],
)
def test_contradiction_is_named(changes: dict[str, Any], found: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        with_changes(built_in_federation(), **(WAVELETS | changes))
    assert found in str(caught.value)


def test_features_are_for_classes_of_flat_images() -> None:
    task = {"kind": "segmentation", "classes": ["background", "organ"]}
    with pytest.raises(ConfigurationError, match="found it for segmentation"):
        with_changes(built_in_federation(), task=task, **WAVELETS)


def read(path: Path, file: str, sha256: str = "0" * 64) -> Federation:
    table = f'kind = "efficientnet-lite0"\nfile = "{file}"\nsha256 = "{sha256}"\n'
    text = f'[model]\nnetwork = "linear"\n[model.features]\n{table}'
    path.write_text(text, encoding="utf-8")
    return load_federation(path)


def test_features_are_agreed_on_by_their_hash_wherever_the_file_lies(tmp_path: Path) -> None:
    path = tmp_path / "federation.toml"
    one, elsewhere = read(path, "a.safetensors"), read(path, "/far/b.safetensors")
    assert one.model.features is not None
    assert one.model.features.file == tmp_path / "a.safetensors"
    assert one.hash == elsewhere.hash != read(path, "a.safetensors", "1" * 64).hash
    path.write_text(one.to_toml(), encoding="utf-8")
    assert load_federation(path) == one


def test_identity_without_features_is_that_of_before() -> None:
    federation = built_in_federation()
    assert "features" not in federation.to_toml()
    assert federation.hash == with_changes(federation, model__features=None).hash
    assert federation.hash != with_changes(federation, **WAVELETS).hash


def test_file_may_lie_elsewhere_in_the_next_edition(tmp_path: Path) -> None:
    old = with_changes(built_in_federation(3), model__network="linear", model__features=LITE)
    new = successor(old, old.vendors[:2])
    moved = with_changes(new, model__features={**LITE, "file": "/far/b.safetensors"})
    check_successor(old, moved)
    other = with_changes(new, model__features={**LITE, "sha256": "1" * 64})
    with pytest.raises(ConfigurationError, match="model"):
        check_successor(old, other)
