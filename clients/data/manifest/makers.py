"""Names of scanners' makers, as headers spell them, under one name each."""

from __future__ import annotations

import re

_MAKERS = {
    "ge": ("ge", "gems", "general electric", "imatron"),
    "siemens": ("siemens",),
    "philips": ("philips", "picker", "marconi", "adac"),
    "canon": ("canon", "toshiba"),
    "fujifilm": ("fujifilm", "fuji", "hitachi"),
    "united-imaging": ("united imaging", "uih", "shanghai united"),
    "samsung": ("samsung", "neurologica"),
    "agfa": ("agfa",),
    "carestream": ("carestream", "kodak"),
    "hologic": ("hologic", "lorad"),
    "neusoft": ("neusoft",),
    "esaote": ("esaote",),
}
"""Name → beginnings of a header's text, lower case; companies count under their present owner."""


def maker(manufacturer: str) -> str:
    """Return a maker's name from the header's Manufacturer: ``GE MEDICAL SYSTEMS`` → ``ge``.

    An unknown maker keeps its own first word; an empty header is ``unknown``.
    """
    text = re.sub(r"[^a-z0-9]+", " ", manufacturer.lower()).strip()
    for name, beginnings in _MAKERS.items():
        if any(text == each or text.startswith(f"{each} ") for each in beginnings):
            return name
    return text.split(" ")[0][:40] or "unknown"
