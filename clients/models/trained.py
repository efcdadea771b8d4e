"""A trained network that knows its classes, and how images were prepared for it in training."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from clients.models.model_file import ModelFile, load_model, read_model_file
from clients.prediction import Prediction, predict_file
from clients.preparation.settings import PrepareSettings
from clients.tasks.settings import TaskSettings
from strategies.errors import ConfigurationError


class TrainedModel(nn.Module):
    """A network in ``eval`` mode on the CPU, as a model file has it.

    Called, it is the plain network: float32 (n, channels, *space) in [−1, 1] to logits.
    :meth:`predict` takes images as files have them, and prepares them as in training.
    """

    def __init__(self, network: nn.Module, file: ModelFile) -> None:
        super().__init__()
        self.network = network
        self.file = file
        self.eval()

    @property
    def task(self) -> TaskSettings:
        """The task: its kind, classes, channels, and dimensions."""
        return self.file.task

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the outputs; empty for a restoration."""
        return tuple(getattr(self.task, "classes", ()))

    @property
    def preparation(self) -> PrepareSettings:
        """How an image becomes the network's input: spacing, window, size, patch."""
        return self.file.prepare

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the network's outputs for prepared images."""
        outputs: torch.Tensor = self.network(images)
        return outputs

    def predict(self, path: str | Path, image_size: int | None = None) -> Prediction:
        """Return what the network finds in an image file, or in a folder with one DICOM series.

        As ``srflm predict``: the probability of every class, or a mask or a restored image in the
        geometry of the file.  ``image_size`` resizes an image of another size than in training.
        Raises :class:`strategies.errors.DataError` for an image that cannot be used.
        """
        trained = self.file.notes.get("image-size")
        settings = self.preparation
        return predict_file(self.network, Path(path), self.task, image_size, trained, settings)

    def probabilities(self, path: str | Path, image_size: int | None = None) -> dict[str, float]:
        """Return the probability of each class, by name, for an image file.

        Raises as :meth:`predict`, and :class:`ConfigurationError` for a model of another task.
        """
        if self.task.target != "class":
            raise ConfigurationError(
                f"probabilities of classes asked of a model for {self.task.kind}",
                "a model for classification",
                "call predict, which gives its mask or image",
            )
        values = self.predict(path, image_size).values.tolist()
        return dict(zip(self.classes, values, strict=True))


def load_trained(path: str | Path) -> TrainedModel:
    """Return the model in a file; raises as :func:`clients.models.model_file.load_model`."""
    return TrainedModel(load_model(path), read_model_file(path))
