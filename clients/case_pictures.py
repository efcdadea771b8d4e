"""Pictures of a few validation cases: the image, its target, and what models make of it.

They are of patients: they stay with whoever may see the data.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from clients.data.records import Records
from clients.data.slices import fullest_slice, middle_slice, picture_of
from clients.evaluation import predictions
from clients.networks.weights import set_weights
from clients.tasks.shared_settings import LOSS
from clients.tasks.task import Cases, Task
from strategies.weights import Weights

COLOURS: Final = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)),
    *((213, 94, 0), (204, 121, 167), (0, 114, 178)),
)
"""The colours of classes 1, 2, … (Okabe and Ito, 2008), which all people can tell apart."""

SMALL: Final = 0.2
"""The difference, in parts of the window, that has the full colour."""
_OPAQUE = 0.5


@dataclass(frozen=True)
class Shown:
    """A cell: PNG files with their text alternatives, and a line of text below them."""

    pictures: tuple[tuple[bytes, str], ...]
    caption: str


@dataclass(frozen=True)
class ShownCase:
    """A case: ``rank`` is worst, median, or best; ``cells`` are input, target, and each model's."""

    rank: str
    cells: tuple[Shown, ...]


def case_pictures(
    network: nn.Module,
    models: Mapping[str, Weights],
    data: Records,
    task: Task,
    device: torch.device,
    side: int,
) -> list[ShownCase]:
    """Return the worst, the median, and the best case in ``data`` of the last of the ``models``.

    The order is that of the metric that the task can tell of one record (accuracy, Dice, PSNR, or
    SSIM), and among equals that of the loss.  All pictures have one window, from 0 to 1 of the
    prepared images; of volumes one slice is drawn, that with most of the target's mask, else the
    middle one.  ``side`` is the most pixels of a picture.  The network's weights are overwritten.
    """
    *_, judge = models.values()
    set_weights(network, judge)
    quality = []
    for outputs, cases in predictions(network, data, device):
        shares = task.shares(task.scores(outputs, cases, False))
        quality.append(torch.stack([shares, task.confidence(outputs, cases.targets)], dim=1))
    rows = _chosen(torch.cat(quality).nan_to_num().numpy())
    few = [data.at(torch.tensor([row])) for row in rows.values()]
    found: dict[str, list[torch.Tensor]] = {}
    for name, weights in models.items():
        set_weights(network, weights)
        found[name] = [next(predictions(network, one, device))[0][0] for one in few]
    return [
        ShownCase(rank, tuple(_cells(next(one.whole()), outputs, task, side)))
        for rank, one, outputs in zip(rows, few, _by_case(found), strict=True)
    ]


def _by_case(found: Mapping[str, list[torch.Tensor]]) -> Iterator[dict[str, torch.Tensor]]:
    """Turn model → output of each case into one such mapping, model → output, for each case."""
    for outputs in zip(*found.values(), strict=True):
        yield dict(zip(found, outputs, strict=True))


def _chosen(quality: NDArray[np.float64]) -> dict[str, int]:
    """Return rank → row; of fewer than three records, those that there are."""
    order = np.lexsort((quality[:, 1], quality[:, 0]))
    places = {"worst": 0, "median": len(order) // 2, "best": len(order) - 1}
    found: dict[str, int] = {}
    for rank, place in places.items():
        row = int(order[place])
        if row not in found.values():
            found[rank] = row
    return found


def _cells(case: Cases, outputs: Mapping[str, torch.Tensor], task: Task, side: int) -> list[Shown]:
    """Return the cells of the one record in ``case``."""
    match task.settings.target:
        case "class":
            return _classes(case, outputs, task, side)
        case "mask":
            return _masks(case, outputs, task, side)
        case "image":
            return _images(case, outputs, task, side)


def _classes(
    case: Cases, outputs: Mapping[str, torch.Tensor], task: Task, side: int
) -> list[Shown]:
    classes = task.settings.classes
    image, truth = case.images[0], int(case.targets[0])
    picture = _grey(picture_of(image, middle_slice(image.shape[1:])), side)
    cells = [Shown(((picture, "Input"),), ""), Shown((), classes[truth])]
    for logits in outputs.values():
        chances = task.result(logits[None])
        best = int(chances.argmax())
        cells.append(Shown((), f"{classes[best]} ({float(chances[best]):.2f})"))
    return cells


def _masks(case: Cases, outputs: Mapping[str, torch.Tensor], task: Task, side: int) -> list[Shown]:
    place = fullest_slice(case.targets[0])
    picture = picture_of(case.images[0], place)
    truth = case.targets[0][place].numpy()
    cells = [
        Shown(((_grey(picture, side), "Input"),), ""),
        Shown(((_overlaid(picture, truth, side), "Input with the target's mask over it"),), ""),
    ]
    for name, logits in outputs.items():
        mask = task.result(logits[None])[place].astype(np.int64)
        text = f"Input with the mask of the {name} model over it"
        cells.append(Shown(((_overlaid(picture, mask, side), text),), _score(logits, case, task)))
    return cells


def _images(case: Cases, outputs: Mapping[str, torch.Tensor], task: Task, side: int) -> list[Shown]:
    place = middle_slice(case.images.shape[2:])
    truth = picture_of(case.targets[0], place)
    named = {"Input": case.images[0], "Target": case.targets[0]}
    named |= {f"Image of the {name} model": output for name, output in outputs.items()}
    cells = []
    for name, image in named.items():
        picture = picture_of(image.clamp(-1, 1), place)
        pictures = [(_grey(picture, side), name)]
        if name != "Target":
            pictures.append((_difference(picture - truth, side), f"{name} minus target"))
        score = "" if name == "Target" else _score(image, case, task)
        cells.append(Shown(tuple(pictures), score))
    return cells


def _score(output: torch.Tensor, case: Cases, task: Task) -> str:
    """Return the choosing metric, or the loss, of one record."""
    metrics = task.summary(task.scores(output[None], case, False))
    name = task.settings.metric
    if name not in metrics:
        return f"loss {metrics[LOSS]:.3g}" if LOSS in metrics else ""
    metric = task.settings.metrics[name]
    return f"{metric.title} {metrics[name]:.3g} {metric.unit}".strip()


# ---- pixels --------------------------------------------------------------------------------------


def _grey(picture: NDArray[np.float32], side: int) -> bytes:
    return _png(_bytes(picture), side)


def _overlaid(picture: NDArray[np.float32], labels: NDArray[np.int64], side: int) -> bytes:
    pixels = _bytes(picture).astype(np.float32)
    coloured = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
    table = np.array([(0, 0, 0), *COLOURS], np.float32)
    colour = table[np.where(labels > 0, (labels - 1) % len(COLOURS) + 1, 0)]
    mixed = np.where(labels[..., None] > 0, (1 - _OPAQUE) * coloured + _OPAQUE * colour, coloured)
    return _png(mixed.astype(np.uint8), side)


def _difference(values: NDArray[np.float32], side: int) -> bytes:
    """Return what is too bright as red, and what is too dark as blue, on white."""
    part = (values if values.ndim == 2 else values.mean(axis=2)) / SMALL
    strength = np.abs(part).clip(0, 1)[..., None]
    colour = np.where(part[..., None] > 0, (178.0, 24.0, 43.0), (33.0, 102.0, 172.0))
    return _png((255 * (1 - strength) + colour * strength).astype(np.uint8), side)


def _bytes(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = np.rint(picture.clip(0, 1) * 255).astype(np.uint8)
    return pixels


def _png(pixels: NDArray[np.uint8], side: int) -> bytes:
    """Return pixels as a PNG file of at most ``side`` pixels a side, the same for the same."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.BOX)
    if image.mode == "RGB":
        image = image.quantize(128, dither=Image.Dither.NONE)  # a third of the bytes
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return content.getvalue()
