"""A picture of the vendors' data side by side: one column a vendor, one row a class."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clients.data.phantom import write_preview
from clients.data.plan import DataPlan
from clients.data.sources import load_vendor_data
from clients.data.vendor_data import Split
from clients.files.durable import not_writable
from clients.settings import PhantomData

MAX_VENDORS, MAX_CLASSES, INCH = 8, 10, 1.35  # INCH: side of a picture


def write_data_preview(path: Path, plan: DataPlan) -> None:
    """Write a PNG of the first vendors' training images; for the phantom, of its scanners.

    The folder is made if it is missing. Raises :class:`RunFolderError` if the file cannot be
    written.
    """
    names = [vendor.name for vendor in plan.vendors][:MAX_VENDORS]
    if isinstance(plan.data, PhantomData):
        with _writing(path):
            write_preview(
                path,
                list(range(len(names))),
                seed=plan.seed,
                size=plan.data.image_size,
                heterogeneity=plan.data.heterogeneity,
            )
        return
    classes = plan.task.classes[:MAX_CLASSES]
    figure = Figure(figsize=(INCH * len(names) + 1.2, INCH * len(classes) + 0.9), dpi=110)
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(classes), len(names), squeeze=False)
    for column, name in enumerate(names):
        train = load_vendor_data(plan, name).train
        for row, title in enumerate(classes):
            axes = grid[row, column]
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_box_aspect(1)
            members = np.flatnonzero(train.labels.numpy() == row)
            if len(members):
                axes.imshow(_picture(train, int(members[0])), cmap="gray", vmin=0, vmax=1)
            axes.set_xlabel(f"{len(members)} images", fontsize=7, labelpad=2)
            if column == 0:
                axes.set_ylabel(title, fontsize=8)
            if row == 0:
                axes.set_title(f"{name}\n({len(train)} images)", fontsize=9)
    figure.tight_layout()
    with _writing(path):
        figure.savefig(path, format="png")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Make the file's folder; turn an OSError in the block into :class:`RunFolderError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise not_writable(path, error) from error


def _picture(split: Split, index: int) -> NDArray[np.float32]:
    """Return an image, or the middle slice of a volume, in the layout that Matplotlib draws."""
    image: NDArray[np.float32] = (split.images[index] / 2 + 0.5).numpy()
    while image.ndim > 3:
        image = image[:, image.shape[1] // 2]
    return image[0] if image.shape[0] != 3 else np.moveaxis(image, 0, -1)
