"""Check ``[model.features]`` of a federation file against its network, task, and data."""

from __future__ import annotations

from collections.abc import Iterator

from clients.feature_settings import FeatureSettings
from clients.preparation.augment_settings import AugmentSettings
from clients.settings import LINEAR, FileData
from srflm_flower.federation.federation import Federation


def feature_problems(federation: Federation) -> list[str]:
    """Return one line for each contradiction."""
    features, network = federation.model.features, federation.model.network
    if features is None:
        if network != LINEAR:
            return []
        return [
            f"model.network: found {LINEAR!r} without [model.features]; expected features on which"
            " a linear layer is trained; add the table, or name another network"
        ]
    return [
        *_network_problems(network),
        *_file_problems(features),
        *_task_problems(federation, features),
        *_changing_images(federation),
    ]


def _network_problems(network: str) -> Iterator[str]:
    if network != LINEAR:
        yield (
            f"model.network: found {network!r} with [model.features]; expected {LINEAR!r}, the only"
            " network on features; change it, or remove the table"
        )


def _file_problems(features: FeatureSettings) -> Iterator[str]:
    for name, value in (("file", features.file), ("sha256", features.sha256)):
        if features.kind == "scattering" and value is not None:
            yield (
                f'model.features.{name}: found it with kind = "scattering"; expected none, as'
                " wavelets have no weights; remove it"
            )
        if features.kind != "scattering" and value is None:
            yield (
                f"model.features.{name}: found nothing; expected the file with the public weights"
                " of efficientnet-lite0, and its SHA-256; add {name} = …"
            )


def _task_problems(federation: Federation, features: FeatureSettings) -> Iterator[str]:
    task = federation.task
    if task.target != "class" or task.spatial_dims != 2:
        yield (
            f"model.features: found it for {task.kind} of {task.spatial_dims}-dimensional images;"
            " expected classes of 2-dimensional images; remove the table"
        )
    elif features.kind != "scattering" and task.channels not in (1, 3):
        yield (
            f"model.features.kind: found {features.kind!r} for {task.channels} channels; expected"
            ' 1 or 3, grey or colour; set kind = "scattering"'
        )


def _changing_images(federation: Federation) -> Iterator[str]:
    # Features are computed once.
    if federation.privacy.copies > 1:
        yield (
            f"privacy.copies: found {federation.privacy.copies} with [model.features]; expected 1,"
            " as features are of the image as it is; remove it"
        )
    if isinstance(federation.data, FileData) and federation.data.prepare.patch is not None:
        yield (
            "data.prepare.patch: found it with [model.features]; expected none, as features are of"
            " the whole image; remove it"
        )
    if federation.data.augment != AugmentSettings():
        yield (
            "data.augment: found changes of images with [model.features]; expected none, as"
            " features are of the image as it is; remove the table"
        )
