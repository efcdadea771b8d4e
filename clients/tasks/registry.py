"""The task that a federation file names."""

from __future__ import annotations

from clients.tasks.classification import Classification
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
    """Return the task of these settings."""
    match settings:
        case ClassificationSettings():
            return Classification(settings)
        case SegmentationSettings():
            return Segmentation(settings)
        case RestorationSettings():
            return Restoration(settings)
