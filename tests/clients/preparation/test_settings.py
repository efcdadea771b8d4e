"""Rules of ``[data.prepare]`` and ``[data.augment]`` by themselves."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from clients.preparation.augment_settings import AugmentSettings
from clients.preparation.settings import PrepareSettings


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SAR", "IPL"])
def test_every_order_of_directions_is_an_orientation(orientation: str) -> None:
    assert PrepareSettings(orientation=orientation).orientation == orientation


def test_one_number_stands_for_all_dimensions() -> None:
    one = PrepareSettings.model_validate({"spacing": 2, "size": 64})
    assert (one.spacing, one.size) == ((2.0,), (64,))
    assert one == PrepareSettings.model_validate({"spacing": [2.0], "size": [64]})


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"orientation": "RLS"}, "one each of L or R"),
        ({"orientation": "RA"}, "one each of L or R"),
        ({"orientation": "ras"}, "one each of L or R"),
        ({"spacing": 0}, "greater than 0"),
        ({"spacing": []}, "at least 1"),
        ({"spacing": [1, 1, 1, 1]}, "at most 3"),
        ({"spacing": True}, "tuple"),
        ({"size": 0}, "greater than or equal to 1"),
        ({"size": 1.5}, "integer"),
        ({"normalise": "window"}, "expected a window"),
        ({"normalise": "z-score", "window": [0, 1]}, "remove one of the two"),
        ({"normalise": "percentile", "window": [0, 1]}, "remove one of the two"),
        ({"percentiles": [5, 95]}, 'expected none without normalise = "percentile"'),
        ({"percentiles": [5, 95], "normalise": "z-score"}, "expected none without normalise"),
        ({"normalise": "percentile", "percentiles": [50, 50]}, "from 0 to 100"),
        ({"normalise": "percentile", "percentiles": [1, 101]}, "from 0 to 100"),
    ],
    ids=str,
)
def test_contradiction_is_refused(table: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        PrepareSettings.model_validate(table)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"flip": []}, "at least one axis"),
        ({"flip": [0, 0]}, "each once"),
        ({"flip": [3]}, "less than or equal to 2"),
        ({"gamma": [1.5, 0.7]}, "low and a high exponent"),
        ({"gamma": [0, 1]}, "greater than 0"),
        ({"rotation": 181}, "less than or equal to 180"),
        ({"noise-probability": 0.2}, "expected noise beside it"),
        ({"affine-probability": 0.2}, "expected rotation or scale or shift beside it"),
        ({"flip": [0], "flip-probability": 0}, "greater than 0"),
    ],
    ids=str,
)
def test_augmentation_that_is_none_is_refused(table: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        AugmentSettings.model_validate(table)


def test_settings_are_read_back_as_they_were_written() -> None:
    for settings in (
        PrepareSettings(orientation="RAS", spacing=(1.0, 2.0), normalise="percentile", size=(8,)),
        AugmentSettings(flip=(0,), gamma=(0.5, 2.0), noise=0.1),
        PrepareSettings(),
        AugmentSettings(),
    ):
        whole = settings.model_dump(mode="json", by_alias=True)
        assert type(settings).model_validate(whole) == settings
        assert settings.is_set == (settings != type(settings)())
