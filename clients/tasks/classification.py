"""Classification: logits, cross-entropy, and the metrics of ``monai.metrics``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from monai.metrics import compute_roc_auc, get_confusion_matrix
from numpy.typing import NDArray
from torch.nn import functional

from clients.tasks.losses import cross_entropy
from clients.tasks.settings import ClassificationSettings
from clients.tasks.shared_settings import LOSS
from clients.tasks.task import Cases, check_labels
from strategies.errors import DataError


@dataclass(frozen=True)
class Classification:
    """Every image has one class.  A record's scores are its logits and its label."""

    settings: ClassificationSettings

    def check(self, cases: Cases, whose: str) -> frozenset[int]:
        """Raise :class:`DataError` for labels outside the classes; return those that are there."""
        labels = cases.targets
        check_labels(int(labels.min()), int(labels.max()), self.settings.outputs, whose)
        return frozenset(labels.unique().tolist())

    def check_variety(self, found: frozenset[int], whose: str) -> None:
        """Raise :class:`DataError` for one class only."""
        if len(found) < 2:
            raise DataError(
                f"{whose} examples of one class only",
                "at least two classes",
                "give it more data, or allow it with splits.allow-one-class = true",
                DataError.ONE_CLASS,
            )

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of logits (B, classes) and labels (B,)."""
        return cross_entropy(outputs, targets)

    def scores(self, outputs: torch.Tensor, cases: Cases, in_full: bool) -> torch.Tensor:
        """Return logits and labels, (n, classes + 1): the metrics are no means over records."""
        return torch.cat([outputs.double(), cases.targets.cpu().double()[:, None]], dim=1)

    def summary(self, scores: torch.Tensor) -> dict[str, float]:
        """Return accuracy, balanced accuracy, AUC where it is defined, and the loss."""
        logits, labels = scores[:, :-1].float(), scores[:, -1].long()
        metrics = classification_metrics(logits.softmax(1), labels)
        return {**metrics, LOSS: float(functional.cross_entropy(logits, labels))}

    def shares(self, scores: torch.Tensor) -> torch.Tensor:
        """Return 1 for each record that is classified rightly, else 0."""
        return (scores[:, :-1].argmax(1) == scores[:, -1].long()).double()

    def confidence(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return log(p / (1 − p)) for the probability p of the label (Carlini et al., 2022)."""
        log_p = outputs.double().log_softmax(1)
        chosen = functional.one_hot(targets, outputs.shape[1]).bool()
        return log_p[chosen] - log_p.masked_fill(chosen, float("-inf")).logsumexp(1)

    def result(self, outputs: torch.Tensor) -> NDArray[Any]:
        """Return the probability of each class, float32 (classes,)."""
        found: NDArray[Any] = outputs.softmax(1)[0].numpy()
        return found


def classification_metrics(probabilities: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Return accuracy, balanced accuracy, and AUC from (n, classes) probabilities.

    Balanced accuracy is the mean recall of the classes, AUC the mean of their one-against-rest
    AUCs. Classes without a defined value on ``labels`` do not count.
    """
    classes = probabilities.shape[1]
    truth = functional.one_hot(labels, classes)
    guess = functional.one_hot(probabilities.argmax(1), classes)
    confusion = get_confusion_matrix(guess, truth, include_background=True).double().sum(0)
    true_positive, false_negative = confusion[:, 0], confusion[:, 3]  # MONAI's order: TP FP TN FN
    present = true_positive + false_negative > 0
    recall = true_positive[present] / (true_positive + false_negative)[present]
    metrics = {
        "accuracy": float(true_positive.sum() / len(labels)),
        "balanced-accuracy": float(recall.mean()),
    }
    # AUC needs examples of the class and of the rest.
    separable = present & (truth.sum(0) < len(labels))
    if separable.any():
        auc = compute_roc_auc(probabilities[:, separable], truth[:, separable], average="none")
        metrics["auc"] = float(torch.as_tensor(auc, dtype=torch.float64).mean())
    return metrics
