"""Contradictions between ``[data.prepare]``, ``[data.augment]``, and other tables are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.srflm_flower.federation.test_prepare import FILES
from tests.support.federation_files import problems_of


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[data.prepare]\nspacing = [1, 1, 1]", "data.prepare.spacing: found 3 numbers; expected"),
        ("[data.prepare]\nsize = [64, 64, 64]", "data.prepare.size: found 3 numbers; expected"),
        ("image-size = 64\nprepare.size = 64", "data.image-size: found 64 beside data.prepare.s"),
        ("image-size = 64\nprepare.spacing = 1", "beside data.prepare.spacing; expected one of"),
        ("[data.prepare]\norientation = 'XYZ'", "data.prepare.orientation: found 'XYZ'; expected"),
        ("[data.prepare]\nspacing = 0", "data.prepare.spacing.0: found 0; expected a number great"),
        ("[data.augment]\nflip = [0, 2]", "data.augment.flip: found [0, 2]; expected axes from 0"),
        ("[data.augment]\nblur-probability = 0.1", "data.augment.blur-probability: found 0.1;"),
        (
            "[data.augment]\nflip = [0]\n[privacy]\nunit = 'record'",
            "data.augment: found a change of images with differential privacy; expected none",
        ),
    ],
)
def test_contradiction_between_tables_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in problems_of(tmp_path, FILES + text)
