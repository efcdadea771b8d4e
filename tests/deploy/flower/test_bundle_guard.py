from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploy.flower.bundle_guard import BundleGuard, installing_only
from strategies.errors import BundleRefused

GOOD, EVIL = b"good bundle", b"evil bundle"
AGREED = hashlib.sha256(GOOD).hexdigest()


@dataclass
class Run:
    run_id: int = 1
    fab_id: str = "us/tiny"
    fab_version: str = "1.0.0"
    fab_hash: str = AGREED
    override_config: dict[str, Any] = field(default_factory=dict)
    primary_task_type: str = "flwr-serverapp"


@dataclass
class Guarded:
    refusals: list[tuple[int, str]] = field(default_factory=list)
    read: list[bytes] = field(default_factory=list)
    agreed: tuple[str, ...] = (AGREED,)

    def __post_init__(self) -> None:
        self.guard = BundleGuard(
            self.agreed, lambda run, found: self.refusals.append((run, found)), {"term"}
        )

    def reader(self, content: bytes) -> tuple[str, str]:
        self.read.append(content)
        return "us/tiny", "1.0.0"

    def take(self, run: Run, content: bytes = GOOD, name: str = AGREED) -> None:
        self.guard.check_run(run)
        self.guard.check_bundle(run.run_id, content, name, self.reader)


def test_run_of_the_agreed_bundle_passes() -> None:
    guarded = Guarded()
    guarded.take(Run(override_config={"term": 3}))
    guarded.take(Run(run_id=2))
    assert guarded.refusals == []


def test_bundle_with_other_bytes_is_refused_unread_whatever_it_is_called() -> None:
    guarded = Guarded()
    with pytest.raises(BundleRefused):
        guarded.take(Run(), content=EVIL)
    assert guarded.refusals == [(1, hashlib.sha256(EVIL).hexdigest())]
    assert guarded.read == []


@pytest.mark.parametrize(
    "run",
    [
        Run(fab_hash="0" * 64),
        Run(primary_task_type="flwr-agentapp"),
        Run(override_config={"term": 3, "out": "/"}),
    ],
    ids=["bundle", "type", "settings"],
)
def test_run_that_differs_is_refused_before_its_bundle_is_asked_for(run: Run) -> None:
    guarded = Guarded()
    with pytest.raises(BundleRefused):
        guarded.guard.check_run(run)
    assert len(guarded.refusals) == 1


@pytest.mark.parametrize("run", [Run(fab_id="us/../../tmp"), Run(fab_version="9")])
def test_agreed_bundle_under_another_name_is_refused(run: Run) -> None:
    guarded = Guarded()
    with pytest.raises(BundleRefused):
        guarded.take(run)
    assert len(guarded.refusals) == 1


def test_agreed_bundle_with_another_hash_by_its_side_is_refused() -> None:
    with pytest.raises(BundleRefused):
        Guarded().take(Run(), name="0" * 64)


def test_refused_run_stays_refused_and_is_noted_once() -> None:
    guarded = Guarded()
    for _ in range(3):
        with pytest.raises(BundleRefused):
            guarded.take(Run(), content=EVIL)
    with pytest.raises(BundleRefused):
        guarded.take(Run())  # the same run, now with the agreed bundle
    assert len(guarded.refusals) == 1
    guarded.take(Run(run_id=2))


def test_two_bundles_pass_while_the_members_upgrade_each_under_its_own_hash() -> None:
    newer, also = b"newer bundle", hashlib.sha256(b"newer bundle").hexdigest()
    guarded = Guarded(agreed=(AGREED, also))
    guarded.take(Run())
    guarded.take(Run(run_id=2, fab_hash=also), content=newer, name=also)
    assert guarded.refusals == []
    for number, (told, content, name) in enumerate(
        [(AGREED, newer, also), (also, GOOD, also), (also, newer, AGREED), (AGREED, EVIL, AGREED)],
        3,
    ):
        with pytest.raises(BundleRefused):
            guarded.take(Run(run_id=number, fab_hash=told), content=content, name=name)
    assert len(guarded.refusals) == 4


def test_bundle_of_a_run_that_was_never_described_is_refused() -> None:
    guarded = Guarded()
    with pytest.raises(BundleRefused):
        guarded.guard.check_bundle(1, GOOD, AGREED, guarded.reader)


def test_only_the_agreed_bundle_is_installed(tmp_path: Path) -> None:
    installed: list[bytes] = []

    def install(content: bytes, skip_prompt: bool) -> Path:
        installed.append(content)
        return tmp_path

    checked = installing_only([AGREED], install)
    with pytest.raises(BundleRefused):
        checked(EVIL, skip_prompt=True)
    assert installed == []
    assert checked(GOOD, skip_prompt=True) == tmp_path
