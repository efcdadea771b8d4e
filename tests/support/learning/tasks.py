"""Tasks for tests."""

from __future__ import annotations

from clients.tasks.settings import (
    ClassificationSettings,
    RestorationSettings,
    SegmentationSettings,
)


def classification(
    spatial_dims: int = 2, channels: int = 1, classes: int = 2
) -> ClassificationSettings:
    """Return the settings of a classification."""
    return ClassificationSettings(
        classes=tuple(f"class-{n}" for n in range(classes)),
        channels=channels,
        spatial_dims=spatial_dims,  # type: ignore[arg-type]
    )


def segmentation(spatial_dims: int = 2, classes: int = 3) -> SegmentationSettings:
    """Return the settings of a segmentation of grey images."""
    return SegmentationSettings(
        kind="segmentation",
        classes=("background", *(f"organ-{n}" for n in range(1, classes))),
        spatial_dims=spatial_dims,  # type: ignore[arg-type]
    )


def restoration(**settings: object) -> RestorationSettings:
    """Return the settings of a restoration."""
    return RestorationSettings.model_validate({"kind": "restoration", **settings})
