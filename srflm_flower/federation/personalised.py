"""Settings of the model that each vendor keeps for itself."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from clients.settings import TrainingSettings
from strategies.settings import Settings


class HomeTrainingSettings(Settings):
    """Training whose result never leaves the vendor's site."""

    optimizer: Literal["sgd", "adam", "adamw"] = Field(default="sgd", description="Optimiser.")
    learning_rate: float = Field(
        default=0.01, gt=0, description="Learning rate of the first round (or epoch)."
    )
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
        description="Factor of the learning rate after every round (or epoch).",
    )
    batch_size: int = Field(default=8, ge=1, description="Examples in a batch.")

    def training(self) -> TrainingSettings:
        """Return the settings of its training."""
        return TrainingSettings.model_validate(self.model_dump(exclude={"epochs"}))

    def rate_in(self, number: int) -> float:
        """Return the learning rate of a round or epoch, counted from 1."""
        return self.learning_rate * self.decay ** (number - 1)


class OwnModelSettings(HomeTrainingSettings):
    """A model that a vendor trains alone, from the first weights on; it never leaves its site."""

    epochs: int = Field(
        default=0,
        ge=0,
        description="Epochs in each round that a vendor trains a model of its own, which gets no"
        " update from others and never leaves, so that it needs no noise and costs no ε; 0 trains"
        " none.",
    )


class FineTuningSettings(HomeTrainingSettings):
    """The released model, trained on at home after the last term; the result never leaves."""

    epochs: int = Field(
        default=0,
        ge=0,
        description="Epochs that a vendor trains the released model on at home after the last term,"
        " for itself alone, so that it needs no noise and costs no ε; 0 trains none.",
    )


class PersonalisedSettings(Settings):
    """How each vendor comes by the model that it keeps for itself (SRFLM, step 6)."""

    standard_errors: float = Field(
        default=2.0,
        ge=0,
        description="Standard errors on the vendor's own validation data by which another model"
        " must be better to be chosen instead of the newest that the vendor has trained itself; 0"
        " chooses the best of all, as in the paper's demo.",
    )
    own: OwnModelSettings = Field(
        default=OwnModelSettings(),
        description="A model that each vendor trains alone, as one more to choose from.",
    )
    fine_tuning: FineTuningSettings = Field(
        default=FineTuningSettings(),
        description="The released model trained on at each vendor, as one more to choose from.",
    )
