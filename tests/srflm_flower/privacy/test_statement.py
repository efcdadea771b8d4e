"""The privacy promise of a federation says no more than is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from srflm_flower.federation.federation import Federation
from srflm_flower.privacy.statement import NOT_PRIVATE, exclusions, promise
from tests.support.tiny import tiny_federation


def private(folder: Path, **changes: object) -> Federation:
    vendors = [{"name": name, "size": 40} for name in "abcd"]
    settings = {
        "unit": "record",
        "epsilon": 8.0,
        "delta": 1e-3,
        "batch-size": 8,
        "client-noise": 2.0,
        "server-noise": 2.0,
    }
    return tiny_federation(folder, vendors=vendors, privacy=settings | changes)


def test_without_privacy_nothing_is_promised(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    assert (promise(federation), exclusions(federation)) == (NOT_PRIVATE, "")


def test_noise_is_of_a_cryptographic_generator(tmp_path: Path) -> None:
    said = promise(private(tmp_path)) + exclusions(private(tmp_path))
    assert "cryptographic generator" in said and "cheats" not in said


def test_promise_is_for_this_federation_only(tmp_path: Path) -> None:
    federation = private(tmp_path)
    assert "in this federation" in promise(federation)
    assert "all federations" not in promise(federation)
    assert "training for a comparison" in exclusions(federation)


@pytest.mark.parametrize("part", ["stops early", "between the roles", "anew"])
def test_known_gaps_are_named(tmp_path: Path, part: str) -> None:
    assert part in exclusions(private(tmp_path))


def test_exact_metrics_are_shouted_about(tmp_path: Path) -> None:
    assert "LEAVE THE SITES AS THEY ARE" in exclusions(private(tmp_path, metrics="exact"))
    assert "do not leave" in exclusions(private(tmp_path, metrics="withheld"))
