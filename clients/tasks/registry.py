"""The task that a federation file names."""

from __future__ import annotations

from clients.tasks.classification import Classification
from clients.tasks.entry_settings import EntryTaskSettings
from clients.tasks.entry_task import EntryTask, load_task
from clients.tasks.restoration import Restoration
from clients.tasks.segmentation import Segmentation
from clients.tasks.settings import (
    ClassificationSettings,
    RestorationSettings,
    SegmentationSettings,
    TaskSettings,
)
from clients.tasks.task import Task


def task_of(settings: TaskSettings) -> Task:
    """Return the task of these settings.

    Raises :class:`strategies.errors.ConfigurationError` for a task of another distribution that is
    not there, or not the agreed one.
    """
    match settings:
        case ClassificationSettings():
            return Classification(settings)
        case SegmentationSettings():
            return Segmentation(settings)
        case RestorationSettings():
            return Restoration(settings)
        case EntryTaskSettings():
            return entry_task_of(settings)


def entry_task_of(settings: EntryTaskSettings) -> EntryTask:
    """Return the task of another distribution; raises as :func:`task_of`."""
    return load_task(settings, task_of(like(settings)))


def like(settings: EntryTaskSettings) -> TaskSettings:
    """Return the settings of the kind that has the same target."""
    channels, dimensions = settings.channels, settings.spatial_dims
    match settings.target:
        case "class":
            return ClassificationSettings(
                classes=settings.classes, channels=channels, spatial_dims=dimensions
            )
        case "mask":
            return SegmentationSettings(
                kind="segmentation",
                classes=settings.classes,
                channels=channels,
                spatial_dims=dimensions,
            )
        case "image":
            return RestorationSettings(
                kind="restoration", channels=channels, spatial_dims=dimensions
            )
