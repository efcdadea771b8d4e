"""Makers of scanners have one name each."""

from __future__ import annotations

import pytest

from clients.data.manifest.makers import maker


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("GE MEDICAL SYSTEMS", "ge"),
        ("GE Healthcare", "ge"),
        ("GEMS", "ge"),
        ("TOSHIBA", "canon"),
        ("TOSHIBA_MEC", "canon"),
        ("Canon Medical Systems", "canon"),
        ("SIEMENS", "siemens"),
        ("Siemens Healthineers", "siemens"),
        ("Philips Medical Systems", "philips"),
        ("UIH", "united-imaging"),
        ("Geneva Scanners", "geneva"),
        ("  Acme, Inc. ", "acme"),
        ("", "unknown"),
        ("***", "unknown"),
    ],
)
def test_maker_of_a_header(header: str, name: str) -> None:
    assert maker(header) == name
