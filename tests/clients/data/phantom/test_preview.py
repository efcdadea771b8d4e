"""Rules of the picture of the phantom."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clients.data.phantom import SCANNERS, Scanner, write_preview


def test_preview_is_a_png_with_a_column_per_scanner(tmp_path: Path) -> None:
    widths = []
    choices: list[list[Scanner | int]] = [[0], [SCANNERS[0], 7]]
    for scanners in choices:
        path = write_preview(tmp_path / "preview.png", scanners, size=32)
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            widths.append(picture.width)
    assert widths[1] > 1.5 * widths[0]


def test_preview_is_determined_by_its_seed(tmp_path: Path) -> None:
    pictures = []
    for seed in (1, 1, 2):
        with Image.open(write_preview(tmp_path / "p.png", [3], seed=seed, size=32)) as picture:
            pictures.append(np.asarray(picture).copy())
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_preview_without_scanners_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one scanner"):
        write_preview(tmp_path / "p.png", [])
