"""Refuse runs of any bundle but those that all sites agreed on. This file imports no Flower.

Two are agreed while the members upgrade, and one otherwise.

A bundle is code, and a peer's SuperLink supplies it. Nothing of it may be parsed, unpacked, or
imported before its bytes have the agreed hash. The peer also chooses the run's name and settings,
so they are checked too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from strategies.errors import BundleRefused

KINDS_OF_RUN = ("", "flwr-serverapp")


class DescribedRun(Protocol):
    """The checked parts of a SuperLink's description of a run."""

    run_id: int
    fab_id: str
    fab_version: str
    fab_hash: str
    override_config: dict[str, Any]
    primary_task_type: str


@dataclass
class BundleGuard:
    """Passes runs and bundles, or raises :class:`BundleRefused`; a refused run stays refused."""

    agreed: Collection[str]  # SHA-256 of each bundle, in hexadecimal
    # Called once per refused run, with its id and the wrong hash or another reason.
    on_refusal: Callable[[int, str], None]
    settings: Collection[str] = ()  # names of the settings that a peer may change in a run
    _runs: dict[int, DescribedRun] = field(default_factory=dict)
    _refused: set[int] = field(default_factory=set)

    def check_run(self, run: DescribedRun) -> None:
        """Check a run that a SuperLink has described, before its bundle is requested."""
        self._check_not_refused(run.run_id)
        if run.fab_hash not in self.agreed:
            self._refuse(run.run_id, run.fab_hash)
        if run.primary_task_type not in KINDS_OF_RUN:
            self._refuse(run.run_id, f"a run of type {run.primary_task_type}")
        if added := sorted(set(run.override_config) - set(self.settings)):
            self._refuse(run.run_id, f"settings {added}")
        self._runs[run.run_id] = run

    def check_bundle(
        self, run_id: int, content: bytes, name: str, read: Callable[[bytes], tuple[str, str]]
    ) -> None:
        """Check the bundle of a run: its bytes ``content``, and the hash ``name`` claimed for it.

        ``read`` returns the app's id and version from a bundle; it is given agreed bundles only.
        """
        self._check_not_refused(run_id)
        found = hashlib.sha256(content).hexdigest()
        if found not in self.agreed:
            self._refuse(run_id, found)
        run = self._runs.pop(run_id, None)
        # Flower later loads the app from a folder chosen by id, version, and hash as *named*.
        if (
            run is None
            or not name == found == run.fab_hash
            or read(content) != (run.fab_id, run.fab_version)
        ):
            self._refuse(run_id, "an agreed bundle under another name")

    def _check_not_refused(self, run_id: int) -> None:
        if run_id in self._refused:
            raise _refusal(f"run {run_id} again", self.agreed)

    def _refuse(self, run_id: int, found: str) -> None:
        self._refused.add(run_id)  # first: a failing callback must not let the run through
        self.on_refusal(run_id, found)
        raise _refusal(found, self.agreed)


def installing_only(agreed: Collection[str], install: Callable[..., Path]) -> Callable[..., Path]:
    """Return ``install``, which unpacks a bundle's bytes, with a check of their hash before it.

    The returned function raises :class:`BundleRefused` for any bundle but the agreed ones.
    """

    def checked(content: bytes, **options: Any) -> Path:
        found = hashlib.sha256(content).hexdigest()
        if found not in agreed:
            raise _refusal(found, agreed)
        return install(content, **options)

    return checked


def _refusal(found: str, agreed: Collection[str]) -> BundleRefused:
    expected = f"bundle {' or '.join(agreed)}"
    return BundleRefused(
        f"bundle {found}", expected, "let all sites install the same version and agree"
    )
