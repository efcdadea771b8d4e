"""Rules of the table ``[task]``."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from clients.tasks.registry import task_of
from clients.tasks.settings import (
    ClassificationSettings,
    SegmentationSettings,
    TaskSettings,
    metric_title,
    read_task,
)
from tests.support.learning.tasks import classification, restoration, segmentation

TASKS = (classification(), segmentation(), restoration(), restoration(metric="ssim"))


def test_table_without_a_kind_is_a_classification() -> None:
    assert read_task('{"classes": ["a", "b"]}') == ClassificationSettings(classes=("a", "b"))


@pytest.mark.parametrize("settings", TASKS, ids=lambda settings: settings.kind)
def test_settings_are_read_as_they_were_written(settings: TaskSettings) -> None:
    assert read_task(settings.model_dump_json(by_alias=True)) == settings


@pytest.mark.parametrize("settings", TASKS, ids=lambda settings: settings.kind)
def test_more_is_better_of_what_chooses_and_what_noise_releases(settings: TaskSettings) -> None:
    metrics = settings.metrics
    assert metrics[settings.metric].chooses
    assert metrics[settings.released].chooses
    for metric in metrics.values():
        low, high = metric.bound
        assert low < high
    assert task_of(settings).settings is settings


@pytest.mark.parametrize("kind", ["segmentation", "classification"])
@pytest.mark.parametrize("classes", ['["a"]', '["a", "a"]'])
def test_classes_are_two_at_least_and_all_different(kind: str, classes: str) -> None:
    with pytest.raises(ValidationError, match="at least two class names, all different"):
        read_task(f'{{"kind": "{kind}", "classes": {classes}}}')


def test_setting_of_another_task_is_refused() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        read_task('{"kind": "restoration", "classes": ["a", "b"]}')


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("accuracy", "Accuracy"),
        ("dice", "Dice"),
        ("dice-left-kidney", "Dice of left-kidney"),
        ("hd95", "HD95 (mm)"),
        ("psnr", "PSNR (dB)"),
        ("loss", None),
        ("", None),
    ],
)
def test_metric_has_a_title_whatever_the_classes(name: str, title: str | None) -> None:
    assert metric_title(name) == title


def test_settings_of_tasks_need_no_torch() -> None:
    code = "import sys, clients.tasks.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("other", ["Liver", "liver ", "LIVER"])
def test_classes_of_masks_differ_in_more_than_capitals_and_spaces(other: str) -> None:
    with pytest.raises(ValidationError, match="differ in more than"):
        SegmentationSettings(kind="segmentation", classes=("background", "liver", other))
    # Nothing finds an image's class by its name but its own list, so these stay as they are.
    assert ClassificationSettings(classes=("liver", other)).classes == ("liver", other)
