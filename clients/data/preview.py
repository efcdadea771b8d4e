"""A picture of the vendors' data side by side: a column for each vendor.

The rows are the classes, images with their masks, or images before and after restoration.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clients.data.phantom import write_preview
from clients.data.plan import DataPlan
from clients.data.records import Records
from clients.data.slices import fullest_slice, middle_slice, picture_of
from clients.data.sources import load_vendor_data
from clients.files.durable import not_writable
from clients.settings import PhantomData
from clients.tasks.settings import TaskSettings
from clients.tasks.task import Cases

MAX_VENDORS, MAX_CLASSES, MAX_CASES, INCH = 8, 10, 4, 1.35  # INCH: side of a picture
SMALL = 0.2  # of the window: the largest difference with a colour of its own


def write_data_preview(path: Path, plan: DataPlan) -> None:
    """Write a PNG of the first vendors' training images; for the phantom, of its scanners.

    The folder is made if it is missing. Raises :class:`RunFolderError` if the file cannot be
    written.
    """
    names = [vendor.name for vendor in plan.vendors][:MAX_VENDORS]
    if isinstance(plan.data, PhantomData) and plan.task.target == "class":
        with _writing(path):
            write_preview(
                path,
                list(range(len(names))),
                seed=plan.seed,
                size=plan.data.image_size,
                heterogeneity=plan.data.heterogeneity,
            )
        return
    titles = _titles(plan.task)
    figure = Figure(figsize=(INCH * len(names) + 1.2, INCH * len(titles) + 0.9), dpi=110)
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(titles), len(names), squeeze=False)
    for column, name in enumerate(names):
        train = load_vendor_data(plan, name).train
        panels = _panels(train, plan.task)
        for row, (title, panel) in enumerate(zip(titles, panels, strict=True)):
            axes = grid[row, column]
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_box_aspect(1)
            _draw(axes, panel)
            if column == 0:
                axes.set_ylabel(title, fontsize=8)
            if row == 0:
                axes.set_title(f"{name}\n({len(train)} images)", fontsize=9)
    figure.tight_layout()
    with _writing(path):
        figure.savefig(path, format="png")


@dataclass(frozen=True)
class _Panel:
    """A picture, or None for an empty place, with labels (h, w) to lay over it, and a caption."""

    picture: NDArray[np.float32] | None
    labels: NDArray[np.int64] | None = None
    caption: str = ""
    signed: bool = False


def _titles(task: TaskSettings) -> tuple[str, ...]:
    match task.target:
        case "class":
            return task.classes[:MAX_CLASSES]
        case "mask":
            return tuple(f"image {n}" for n in range(1, MAX_CASES + 1))
        case "image":
            return "input", "target", "target − input"


def _panels(train: Records, task: TaskSettings) -> list[_Panel]:
    match task.target:
        case "class":
            classes = train.classes
            assert classes is not None
            members = [
                np.flatnonzero(classes.numpy() == label)
                for label in range(len(task.classes[:MAX_CLASSES]))
            ]
            return [
                _Panel(
                    _picture(_one(train, int(rows[0])).images[0]) if len(rows) else None,
                    caption=f"{len(rows)} images",
                )
                for rows in members
            ]
        case "mask":
            shown = [_with_mask(train, row) for row in range(min(MAX_CASES, len(train)))]
            return shown + [_Panel(None)] * (MAX_CASES - len(shown))
        case "image":
            case = _one(train, 0)
            before, after = _picture(case.images[0]), _picture(case.targets[0])
            return [_Panel(before), _Panel(after), _Panel(after - before, signed=True)]


def _one(train: Records, row: int) -> Cases:
    return next(train.at(torch.tensor([row])).whole())


def _with_mask(train: Records, row: int) -> _Panel:
    """Return an image with its mask; of a volume, the slice with most of the mask in it."""
    case = _one(train, row)
    mask = case.targets[0]
    at = fullest_slice(mask)
    return _Panel(picture_of(case.images[0], at), mask[at].numpy())


def _draw(axes: Axes, panel: _Panel) -> None:
    axes.set_xlabel(panel.caption, fontsize=7, labelpad=2)
    if panel.picture is None:
        return
    if panel.signed:
        axes.imshow(panel.picture, cmap="RdBu_r", vmin=-SMALL, vmax=SMALL)
        return
    axes.imshow(panel.picture, cmap="gray", vmin=0, vmax=1)
    if panel.labels is not None:
        shown = np.ma.masked_equal(panel.labels, 0)
        axes.imshow(shown, cmap="tab10", vmin=1, vmax=10, alpha=0.5, interpolation="nearest")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Make the file's folder; turn an OSError in the block into :class:`RunFolderError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise not_writable(path, error) from error


def _picture(image: torch.Tensor) -> NDArray[np.float32]:
    """Return an image, or the middle slice of a volume, in the layout that Matplotlib draws."""
    return picture_of(image, middle_slice(image.shape[1:]))
