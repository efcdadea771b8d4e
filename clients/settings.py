"""The tables of ``federation.toml`` about data, task, network, and training."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, Strict, ValidationInfo, field_validator

from clients.feature_settings import FeatureSettings
from clients.imaging.select_settings import SelectSettings
from clients.partition_settings import (
    ByClassPartition,
    DirichletPartition,
    SharesPartition,
)
from clients.paths import DataPath
from clients.preparation.augment_settings import AugmentSettings
from clients.preparation.settings import PrepareSettings
from strategies.settings import ENTRY, EntrySettings, Settings, check_entry, is_plain

Network = Literal["small-cnn", "resnet18", "densenet121", "efficientnet-b0"]
"""The classifiers with names of their own; every other network is a class that has arguments."""

Header = Literal["manufacturer", "model", "kernel", "field-strength"]
"""What a header says of the scanner, by which one folder can be divided among vendors."""

STOCK_NETWORKS: tuple[str, ...] = get_args(Network)

LINEAR = "linear"
"""The network on frozen features: one linear layer."""

# Models and files of a run have these names, so a vendor must not.
RESERVED_NAMES = ("global", "averaged", "finetuned", "personalised", "pooled")

# Largest fraction of a vendor's data for validation and test together.
MAX_HELD_OUT = 0.8


_AUGMENT: Any = Field(
    default=AugmentSettings(), description="Random changes of images in training."
)


class PhantomData(Settings):
    """The built-in cross-vendor CT phantom."""

    source: Literal["phantom"] = Field(
        default="phantom", description="Images are generated; no data is needed."
    )
    examples: int = Field(
        default=400, ge=1, description="Slices of each vendor, over all three splits."
    )
    image_size: int = Field(default=64, ge=16, description="Side of an image in pixels.")
    heterogeneity: float = Field(
        default=1.0,
        ge=0,
        le=2,
        description="How far the vendors' scanners are apart; 0 gives all the same scanner.",
    )
    label_alpha: float | None = Field(
        default=None,
        gt=0,
        description="α of the Dirichlet distribution from which each vendor's mix of classes is"
        " drawn; left out, all have the same mix.",
    )
    augment: AugmentSettings = _AUGMENT


class NpzData(Settings):
    """One MedMNIST-style ``.npz`` file, divided among simulated vendors.

    Keys ``train_images``, ``train_labels``, and the same for ``val`` and ``test``; for other tasks
    ``train_masks`` or ``train_targets`` in place of the labels.  ``train_spacing`` (n, dimensions)
    may give the size of a pixel in mm.
    """

    source: Literal["npz"] = Field(
        description="One MedMNIST-style .npz file is divided among the vendors."
    )
    path: DataPath = Field(
        description="The .npz file; a relative path starts at the federation file's folder."
    )
    partition: Annotated[
        DirichletPartition | ByClassPartition | SharesPartition, Field(discriminator="kind")
    ] = Field(default=DirichletPartition(), description="How the file is divided among vendors.")
    max_examples: int | None = Field(
        default=None,
        ge=1,
        description="Most training images of all vendors together; left out, all of the file.",
    )
    augment: AugmentSettings = _AUGMENT


class FileData(Settings):
    """For each vendor an indexed folder, a folder with a sub-folder per class, or one file.

    In a simulation, or one indexed folder for all, divided by what the images' headers say.
    """

    source: Literal["files"] = Field(
        description="Each vendor has its own folder with a manifest.csv, folder with a sub-folder"
        " per class, or .npz file; or partition divides one folder."
    )
    path: DataPath | None = Field(
        default=None,
        description="The folder with a manifest.csv that partition divides among the vendors"
        " without a path of their own; a relative path starts at the federation file's folder.",
    )
    partition: Header | None = Field(
        default=None,
        description="The element of the images' headers by which the folder at path is divided"
        " among simulated vendors; left out, each vendor has a path of its own.",
    )
    image_size: int | None = Field(
        default=None,
        ge=16,
        description="Side in pixels to which images in folders are resized; left out, all must"
        " have the same shape already.",
    )
    prepare: PrepareSettings = Field(
        default=PrepareSettings(), description="How images become a network's input."
    )
    select: SelectSettings = Field(
        default=SelectSettings(), description="Which DICOM images `srflm data index` takes."
    )
    augment: AugmentSettings = _AUGMENT
    most_unreadable: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Largest share of a manifest's cases that may be left out because they cannot"
        " be read; above it the site takes no part.",
    )


DataSettings = Annotated[PhantomData | NpzData | FileData, Field(discriminator="source")]


class VendorSettings(Settings):
    """A member of the federation."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_.-]{0,39}$",
        description="Name of the vendor, different from all others.",
    )
    path: DataPath | None = Field(
        default=None,
        description='This vendor\'s data file or folder; only with data source "files", for a'
        " simulation; left out in the file that sites agree on: each names its own in site.toml.",
    )
    classes: Annotated[tuple[int, ...], Strict(False)] | None = Field(
        default=None,
        description='Labels of this vendor\'s classes; only with partition "by-class".',
    )
    holds: Annotated[tuple[str, ...], Strict(False), Field(min_length=1)] | None = Field(
        default=None,
        description="Makers, models, kernels, or field strengths in tesla whose images this vendor"
        ' has; only with data.partition = "manufacturer" and the like; left out, its name.',
    )
    max_examples: int | None = Field(
        default=None,
        ge=1,
        description="Most training images of this vendor; left out, all that it has.",
    )
    size: int | None = Field(
        default=None,
        ge=1,
        description="Public size: about how many training records this vendor has; needed with"
        " differential privacy only.",
    )
    client_noise: float | None = Field(
        default=None,
        gt=0,
        description="This vendor's own noise multiplier as a client; left out, that of [privacy].",
    )
    server_noise: float | None = Field(
        default=None,
        gt=0,
        description="This vendor's own noise multiplier as the server; left out, that of"
        " [privacy].",
    )
    number: int | None = Field(
        default=None,
        ge=0,
        description="Seed of the division of this vendor's own data, which stays when others"
        " leave; left out, its place in the roster, counted from 0.",
    )

    @field_validator("name")
    @classmethod
    def _name_is_free(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(f"expected none of {', '.join(RESERVED_NAMES)}; rename the vendor")
        return name


class SplitSettings(Settings):
    """The division of data without splits, and the requirements for a vendor's data."""

    validation: float = Field(
        default=0.2,
        gt=0,
        lt=0.5,
        description="Fraction of a vendor's examples for validation, where its data has no splits.",
    )
    test: float = Field(
        default=0.2,
        gt=0,
        lt=0.5,
        description="Fraction of a vendor's examples for testing, where its data has no splits.",
    )
    allow_one_class: bool = Field(
        default=False,
        description="Whether a vendor may have training examples of a single class.",
    )

    @field_validator("test")
    @classmethod
    def _enough_left_for_training(cls, test: float, info: ValidationInfo) -> float:
        validation = info.data.get("validation", 0.0)
        # Rounded: a sum of 0.8 must not be refused for an error in its last bit.
        if round(validation + test, 9) > MAX_HELD_OUT:
            raise ValueError(
                f"expected at most {MAX_HELD_OUT} together with splits.validation ({validation}),"
                " so that enough is left for training; lower one of them"
            )
        return test


class InitialWeights(Settings):
    """The weights with which all members begin; without them, a seed gives them."""

    file: DataPath = Field(
        description="Safetensors file with the weights; a relative path starts at the federation"
        " file's folder."
    )
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 (hexadecimal) of the file, as `sha256sum` prints it: the weights on"
        " which all members agree, wherever each of them keeps the file.",
    )


class ModelSettings(Settings):
    """The network."""

    network: str = Field(
        default="small-cnn",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$",
        description='Network by name: "small-cnn", "resnet18", "densenet121", "efficientnet-b0",'
        ' "linear" (on [model.features]), "dncnn", "entry" (of [model.entry]), or a class of'
        ' monai.networks.nets, such as "DenseNet169" or "UNet".',
    )
    arguments: dict[str, Any] = Field(
        default={},
        description='Arguments of a class of MONAI, of "dncnn", or of an entry, under the names'
        " that they have there: numbers, texts, true or false, and arrays of these.",
    )
    norm: Literal["batch", "group"] = Field(
        default="batch", description='Normalisation of "small-cnn".'
    )
    width: int = Field(
        default=32,
        ge=8,
        multiple_of=8,
        description='Channels of the first block of "small-cnn"; the next two have twice and four'
        " times as many.",
    )
    dp_ready: bool = Field(
        default=False,
        description="Whether the network is made ready for differential privacy (group norm for"
        " batch norm, nothing in place); always so where privacy is on.",
    )
    weight_standardisation: bool = Field(
        default=False,
        description="Whether the weights of convolutions are standardised, which helps private"
        " training.",
    )
    initial_weights: InitialWeights | None = Field(
        default=None,
        description="Weights with which all members begin; left out, they follow from the seed.",
    )
    entry: EntrySettings | None = ENTRY
    features: FeatureSettings | None = Field(
        default=None,
        description='Frozen features on which network "linear" is trained; left out, the whole'
        " network is.",
    )

    @field_validator("entry")
    @classmethod
    def _entry_goes_with_network(
        cls, entry: EntrySettings | None, info: ValidationInfo
    ) -> EntrySettings | None:
        if entry is not None and entry.options:
            raise ValueError("expected no options for a network; write them into model.arguments")
        return check_entry(entry, info.data.get("network"), "network")

    @field_validator("arguments")
    @classmethod
    def _plain_arguments(cls, arguments: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        network = info.data.get("network")
        if arguments and network in STOCK_NETWORKS:
            raise ValueError(f"expected none with network {network!r}; remove them")
        # Names are checked where networks are built: this file must not import MONAI.
        for name, value in arguments.items():
            if not is_plain(value):
                raise ValueError(
                    f"expected numbers, texts, true or false, and arrays of these; correct {name!r}"
                )
        return arguments


class TrainingSettings(Settings):
    """Local training in both roles (SRFLM, steps 1, 3, and 4)."""

    optimizer: Literal["sgd", "adam", "adamw"] = Field(
        default="sgd", description="Optimiser; each piece of work begins with a fresh one."
    )
    learning_rate: float = Field(default=0.01, gt=0, description="Learning rate of round 1.")
    momentum: float = Field(
        default=0.9, ge=0, lt=1, description='Momentum of "sgd"; the others ignore it.'
    )
    weight_decay: float = Field(
        default=0.0, ge=0, description="Weight decay of the optimiser; 0 is none."
    )
    decay: float = Field(
        default=0.95,
        gt=0,
        le=1,
        description="Factor of the learning rate after every round; 1 keeps the rate.",
    )
    client_epochs: int = Field(
        default=2,
        ge=1,
        description="Epochs E_c of a client in a round; private training counts steps instead.",
    )
    server_epochs: int = Field(
        default=4,
        ge=1,
        description="Epochs E_s of the server's fine-tuning in a round; private training counts"
        " steps instead.",
    )
    batch_size: int = Field(
        default=8,
        ge=1,
        description="Examples in a batch; private training has a batch-size of its own.",
    )
