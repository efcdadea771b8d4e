"""Settings of what touches a vendor's data, as they stand in ``federation.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, Strict, ValidationInfo, field_validator

from strategies.settings import Settings

Network = Literal["small-cnn", "resnet18", "densenet121", "efficientnet-b0"]
ClassificationMetric = Literal["accuracy", "balanced-accuracy", "auc"]

RESERVED_NAMES = ("global", "averaged", "finetuned", "personalised", "pooled")
"""Models and files of a run have these names; a vendor may not."""

MAX_HELD_OUT = 0.8
"""The largest part of a vendor's data that validation and test may take together."""


def _usable_path(value: object) -> object:
    """Expand ``~`` at the beginning; refuse a path that cannot name anything."""
    if not isinstance(value, str | Path):
        return value
    if not str(value).strip() or "\0" in str(value):
        raise ValueError("expected the path of a file or folder; write it in full")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError("expected a user with a home folder after ~; write it in full") from None


DataPath = Annotated[Path, Strict(False), BeforeValidator(_usable_path)]


class TaskSettings(Settings):
    """What is learnt: class names in label order, image channels, and the metric that selects.

    ``metric`` (on validation data) chooses each vendor's personalised model and the released
    global one.
    """

    kind: Literal["classification"] = "classification"
    classes: Annotated[tuple[str, ...], Strict(False)] = ("none", "cyst", "solid", "calcified")
    channels: int = Field(default=1, ge=1)
    spatial_dims: Literal[2, 3] = 2
    metric: ClassificationMetric = "accuracy"

    @field_validator("classes")
    @classmethod
    def _at_least_two_classes(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(classes) < 2 or len(set(classes)) != len(classes):
            raise ValueError(
                "expected at least two class names, all different; list every class once"
            )
        return classes


class PhantomData(Settings):
    """The built-in cross-vendor CT phantom; ``examples`` slices a vendor, over all splits.

    ``heterogeneity`` scales how far the vendors' scanners are apart (0: all the same).
    ``label_alpha``, where set, draws each vendor's class mix from a Dirichlet distribution.
    """

    source: Literal["phantom"] = "phantom"
    examples: int = Field(default=400, ge=1)
    image_size: int = Field(default=64, ge=16)
    heterogeneity: float = Field(default=1.0, ge=0, le=2)
    label_alpha: float | None = Field(default=None, gt=0)


class DirichletPartition(Settings):
    """Divide every class over the vendors by proportions from Dir(α) (Hsu et al., 2019)."""

    kind: Literal["dirichlet"] = "dirichlet"
    alpha: float = Field(default=0.5, gt=0)


class ByClassPartition(Settings):
    """Give every vendor the classes that its ``[[vendors]]`` table lists."""

    kind: Literal["by-class"]


class NpzData(Settings):
    """One MedMNIST-style ``.npz`` file, divided among simulated vendors.

    Keys ``train_images``, ``train_labels``, and the same for ``val`` and ``test``.
    ``max_examples`` limits the training images of all vendors together.
    """

    source: Literal["npz"]
    path: DataPath
    partition: Annotated[DirichletPartition | ByClassPartition, Field(discriminator="kind")] = (
        DirichletPartition()
    )
    max_examples: int | None = Field(default=None, ge=1)


class FileData(Settings):
    """One ``.npz`` file, or one folder with a sub-folder of images per class, for each vendor."""

    source: Literal["files"]
    image_size: int | None = Field(default=None, ge=16)


DataSettings = Annotated[PhantomData | NpzData | FileData, Field(discriminator="source")]


class VendorSettings(Settings):
    """A member of the federation.

    ``path`` is its file or folder (data source ``files``); ``classes`` are its labels (partition
    ``by-class``); ``max_examples`` limits its training images.  With differential privacy
    ``size`` is its public size: about how many training records it has, in numbers that everybody
    may know; ``client_noise`` and ``server_noise`` replace those of ``[privacy]`` for this vendor.
    ``number`` is its place in the roster if left out; it seeds how the vendor's own data is
    divided, and stays when others leave.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,39}$")
    path: DataPath | None = None
    classes: Annotated[tuple[int, ...], Strict(False)] | None = None
    max_examples: int | None = Field(default=None, ge=1)
    size: int | None = Field(default=None, ge=1)
    client_noise: float | None = Field(default=None, gt=0)
    server_noise: float | None = Field(default=None, gt=0)
    number: int | None = Field(default=None, ge=0)

    @field_validator("name")
    @classmethod
    def _name_is_free(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(f"expected none of {', '.join(RESERVED_NAMES)}; rename the vendor")
        return name


class SplitSettings(Settings):
    """How data that comes without splits is divided, and what is asked of a vendor's data."""

    validation: float = Field(default=0.2, gt=0, lt=0.5)
    test: float = Field(default=0.2, gt=0, lt=0.5)
    allow_one_class: bool = False

    @field_validator("test")
    @classmethod
    def _enough_left_for_training(cls, test: float, info: ValidationInfo) -> float:
        validation = info.data.get("validation", 0.0)
        if round(validation + test, 9) > MAX_HELD_OUT:
            raise ValueError(
                f"expected at most {MAX_HELD_OUT} together with splits.validation ({validation}),"
                " so that enough is left for training; lower one of them"
            )
        return test


class ModelSettings(Settings):
    """The network, by name; ``norm`` is the normalisation of ``small-cnn``, ``width`` the channels
    of its first block (the next two have twice and four times as many).

    ``dp_ready`` makes it ready for differential privacy (no batch norm, nothing in place), which
    happens by itself where privacy is on.  ``weight_standardisation`` goes with it.
    """

    network: Network = "small-cnn"
    norm: Literal["batch", "group"] = "batch"
    width: int = Field(default=32, ge=8, multiple_of=8)
    dp_ready: bool = False
    weight_standardisation: bool = False


class TrainingSettings(Settings):
    """Local training in both roles (README.md, steps 1, 3, 4); epochs as E_c and E_s there."""

    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: float = Field(default=0.01, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    decay: float = Field(default=0.95, gt=0, le=1)
    client_epochs: int = Field(default=2, ge=1)
    server_epochs: int = Field(default=4, ge=1)
    batch_size: int = Field(default=8, ge=1)
