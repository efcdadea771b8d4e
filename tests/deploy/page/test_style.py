"""The colours of the page: text can be read on its ground, in light and in dark (WCAG 2.2, AA)."""

from __future__ import annotations

import re

import pytest

from deploy.page.rendering import asset

TEXT, GRAPHICS = 4.5, 3.0
PAIRS = [
    *((ink, ground, TEXT) for ink in ("ink", "faint", "link") for ground in ("ground", "card")),
    *((ink, "soft", TEXT) for ink in ("ink", "faint")),
    *((level, ground, TEXT) for level in ("good", "bad", "warn") for ground in ("ground", "card")),
    *(("good", "good-soft", TEXT), ("bad", "bad-soft", TEXT), ("ink", "good-soft", TEXT)),
    *((kind, "card", GRAPHICS) for kind in ("averaged", "finetuned", "personalised", "blue")),
    *((kind, "stripe", GRAPHICS) for kind in ("averaged", "finetuned", "personalised")),
]


def colours(dark: bool) -> dict[str, str]:
    """Return the values of the style sheet's variables: later ones win, as in a browser."""
    text = asset("page.css").decode()
    found: dict[str, str] = {}
    blocks = re.finditer(r"(@media[^{]*\{\s*)?:root \{([^}]*)\}", text)
    for block in blocks:
        condition = block[1] or ""
        if condition and not (dark and "prefers-color-scheme: dark" in condition):
            continue
        found |= dict(re.findall(r"--([a-z-]+):\s*(#[0-9a-f]{3,6})", block[2]))
    return {
        name: f"#{''.join(2 * c for c in value[1:])}" if len(value) == 4 else value
        for name, value in found.items()
    }


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_measure_is_the_one_of_the_guidelines() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground", "least"), PAIRS, ids=lambda each: str(each))
def test_contrast_is_enough(ink: str, ground: str, least: float, dark: bool) -> None:
    known = colours(dark)
    assert contrast(known[ink], known[ground]) >= least


def test_dark_is_dark() -> None:
    assert luminance(colours(True)["ground"]) < 0.05 < luminance(colours(False)["ground"])
