"""Evaluate a network with ``monai.metrics``: accuracy, balanced accuracy, AUC, and the loss."""

from __future__ import annotations

import math

import torch
from monai.metrics import compute_roc_auc, get_confusion_matrix
from torch import nn
from torch.nn import functional

from clients.data.vendor_data import Split

EVALUATION_BATCH = 256  # images in one forward pass: bounds the memory


@torch.no_grad()
def predict_logits(network: nn.Module, images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return logits of shape (n, classes) for images of shape (n, channels, *space), on the CPU."""
    network.to(device).eval()
    batches = images.split(EVALUATION_BATCH)
    return torch.cat([network(batch.to(device)).float().cpu() for batch in batches])


def evaluate(network: nn.Module, data: Split, device: torch.device) -> dict[str, float]:
    """Return the metrics of ``network`` on ``data``, without those that are undefined there."""
    logits = predict_logits(network, data.images, device)
    loss = float(functional.cross_entropy(logits, data.labels))
    metrics = classification_metrics(logits.softmax(1), data.labels)
    return {
        name: value for name, value in {**metrics, "loss": loss}.items() if math.isfinite(value)
    }


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
