"""Names under which others published a way to federate, and the method that runs for each.

A preset is a name and a source.  It stands for who sends which model to whom, and in which order;
parts of a publication beyond that are listed as missing, so the table has the method's own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from srflm_flower.comparison.result import Method


@dataclass(frozen=True)
class Preset:
    """The method that runs for a published name, its source, and parts of it that are missing."""

    method: Method
    source: str
    missing: str


PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "3sc-fl": Preset(
            "fixed-server",
            "Proc. SPIE 12463, 1246339 (2023), doi 10.1117/12.2654184",
            "the clients' unsupervised training: all train with labels",
        ),
        "icp2p-fl": Preset(
            "cyclic",
            "arXiv 2306.02037 (2023)",
            "the intermediate controllers and continual learning",
        ),
        "fedgp": Preset(
            "round-robin",
            "J. South. Med. Univ. 45(4), 844-852 (2025), doi 10.12122/j.issn.1673-4254.2025.04.20",
            "the network modulated by institution and the guidance while clients train: the server"
            " fine-tunes with its own labels afterwards",
        ),
    }
)


def about(name: str) -> str:
    """Return a line that says what runs for a preset."""
    preset = PRESETS[name]
    return f"{name} ({preset.source}) runs as {preset.method}, without {preset.missing}"
