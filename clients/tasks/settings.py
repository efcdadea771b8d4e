"""The table ``[task]`` of ``federation.toml``, and the metrics by which each task is judged."""

# Without torch or MONAI, which take seconds to import: the launcher and the report import this.

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Strict, TypeAdapter, field_validator

from clients.tasks.entry_settings import EntryTaskSettings
from clients.tasks.shared_settings import (
    CHANNELS,
    DIMENSIONS,
    LOSS,
    Metric,
    TargetKind,
    all_different,
    all_told_apart,
)
from strategies.settings import Settings

SSIM_SIDE = 11  # pixels of the window of SSIM (Wang et al., 2004)


class ClassificationSettings(Settings):
    """Classification: every image has one class."""

    kind: Literal["classification"] = Field(
        default="classification", description="Kind of task: every image has one class."
    )
    classes: Annotated[tuple[str, ...], Strict(False)] = Field(
        default=("none", "cyst", "solid", "calcified"),
        description="Names of the classes, in the order of their labels 0, 1, ….",
    )
    channels: int = CHANNELS
    spatial_dims: Literal[2, 3] = DIMENSIONS
    metric: Literal["accuracy", "balanced-accuracy", "auc"] = Field(
        default="accuracy",
        description="Metric on validation data that chooses each vendor's personalised model and"
        " the released global one.",
    )

    _classes = field_validator("classes")(all_different)

    @property
    def target(self) -> TargetKind:
        """The kind of target."""
        return "class"

    @property
    def outputs(self) -> int:
        """The number of logits."""
        return len(self.classes)

    @property
    def released(self) -> str:
        """The metric that is released with noise: a mean over the records' scores."""
        return "accuracy"

    @property
    def pooled(self) -> tuple[str, ...]:
        """The metrics that are means over all records, so that several vendors' can be pooled."""
        return "accuracy", LOSS

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The metrics by name."""
        return {
            "accuracy": Metric("Accuracy"),
            "balanced-accuracy": Metric("Balanced accuracy"),
            "auc": Metric("Area under the ROC curve"),
        }


class SegmentationSettings(Settings):
    """Segmentation: every pixel or voxel has one class; the first class is the background."""

    kind: Literal["segmentation"] = Field(
        description="Kind of task: every pixel or voxel has one class."
    )
    classes: Annotated[tuple[str, ...], Strict(False)] = Field(
        default=("background", "liver", "spleen", "kidneys"),
        description="Names of the classes, in the order of their labels 0, 1, …; the first is the"
        " background, which no metric counts.",
    )
    channels: int = CHANNELS
    spatial_dims: Literal[2, 3] = DIMENSIONS
    metric: Literal["dice"] = Field(
        default="dice",
        description="Metric on validation data that chooses each vendor's personalised model and"
        " the released global one: the mean Dice of all classes but the background.",
    )

    _classes = field_validator("classes")(all_different)
    _labels = field_validator("classes")(all_told_apart)

    @property
    def target(self) -> TargetKind:
        """The kind of target."""
        return "mask"

    @property
    def outputs(self) -> int:
        """The number of logits at each pixel."""
        return len(self.classes)

    @property
    def released(self) -> str:
        """The metric that is released with noise."""
        return "dice"

    @property
    def pooled(self) -> tuple[str, ...]:
        """The metrics that are means over all records; Dice is undefined for some."""
        return (LOSS,)

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The metrics by name; ``hd95`` is the 95th percentile of the distance of the outlines."""
        distance = {"unit": "mm", "bound": (0.0, 1000.0), "chooses": False}
        found = {"dice": Metric("Dice"), "hd95": Metric("HD95", **distance)}  # type: ignore[arg-type]
        for name in self.classes[1:]:
            found[f"dice-{name}"] = Metric(f"Dice of {name}", chooses=False)
            found[f"hd95-{name}"] = Metric(f"HD95 of {name}", **distance)  # type: ignore[arg-type]
        return found


class RestorationSettings(Settings):
    """Restoration: every image becomes a better one (low dose → full dose, less noise)."""

    kind: Literal["restoration"] = Field(
        description="Kind of task: every image becomes a better one."
    )
    channels: int = CHANNELS
    spatial_dims: Literal[2, 3] = DIMENSIONS
    loss: Literal["l1", "mse", "l1-ssim"] = Field(
        default="l1",
        description='Loss: mean absolute error, mean squared error, or "l1-ssim", 0.16·L1 +'
        " 0.84·(1 − SSIM) (Zhao et al., 2017).",
    )
    metric: Literal["psnr", "ssim"] = Field(
        default="psnr",
        description="Metric on validation data that chooses each vendor's personalised model and"
        " the released global one.",
    )
    width: float = Field(
        default=1.0,
        gt=0,
        description="Width of the window from which the images were made, in their unit (HU for"
        " CT), in which error and bias are reported.",
    )

    @property
    def target(self) -> TargetKind:
        """The kind of target."""
        return "image"

    @property
    def classes(self) -> tuple[str, ...]:
        """No classes."""
        return ()

    @property
    def outputs(self) -> int:
        """The number of channels of the restored image."""
        return self.channels

    @property
    def released(self) -> str:
        """The metric that is released with noise."""
        return self.metric

    @property
    def pooled(self) -> tuple[str, ...]:
        """The metrics that are means over all records, so that several vendors' can be pooled."""
        return *self.metrics, LOSS

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The metrics by name; ``gain`` is the PSNR above that of the image before restoration."""
        width = self.width
        return {
            "psnr": Metric("PSNR", "dB", (0.0, 60.0)),
            "ssim": Metric("SSIM"),
            "gain": Metric("Gain in PSNR", "dB", (-60.0, 60.0), chooses=False),
            "rmse": Metric("Root mean squared error", "", (0.0, width), chooses=False),
            "bias": Metric("Bias", "", (-width, width), chooses=False),
        }


def _with_kind(table: Any) -> Any:
    # Files of the first versions need not name the kind: there was one.
    if isinstance(table, dict) and "kind" not in table:
        return {"kind": "classification", **table}
    return table


TaskSettings = Annotated[
    Annotated[
        ClassificationSettings | SegmentationSettings | RestorationSettings | EntryTaskSettings,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_with_kind),
]
"""The settings of any task; a file that names no kind means classification."""

_any_task: TypeAdapter[Any] = TypeAdapter(TaskSettings)


def read_task(text: str) -> TaskSettings:
    """Return the settings that :meth:`model_dump_json` has written; raises ``ValueError``."""
    found: TaskSettings = _any_task.validate_json(text)
    return found


def metric_title(name: str) -> str | None:
    """Return the full name, with its unit, of a metric of any task; None for another name."""
    known = (
        *(ClassificationSettings(), RestorationSettings(kind="restoration")),
        SegmentationSettings(kind="segmentation", classes=("background", name.partition("-")[2])),
    )
    for task in known:
        metric = task.metrics.get(name)
        if metric is not None:
            return f"{metric.title} ({metric.unit})" if metric.unit else metric.title
    return None
