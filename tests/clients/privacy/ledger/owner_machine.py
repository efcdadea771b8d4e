"""A machine: one owner's images in several federations at once, in any order and as any file.

The ledger alone cannot tell that it and every anchor which a site has seen were put back together;
the machine leaves such trainings out, as the term records are there to find them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    multiple,
    rule,
    run_state_machine_as_test,
)
from PIL import Image

from clients.data.examples import Examples, Texts
from clients.data.image_file import load_image
from clients.data.npz import read_npz
from clients.data.vendor_data import as_split
from clients.privacy.accounting.accounting import epsilon
from clients.privacy.ledger.ledger import Reservation
from clients.privacy.ledger.manifest import Manifest, manifest_of
from clients.privacy.ledger.place import LedgerPlace, owners_ledger
from clients.privacy.ledger.policy import Budget
from clients.privacy.ledger.recovery import give_up
from clients.privacy.ledger.rows import Use
from strategies.errors import PrivacyError
from tests.support.learning.tasks import classification
from tests.support.privacy_ledger import DELTA, STEP, without_waits


@cache
def spent(times: int) -> float:
    return epsilon((STEP,) * times, DELTA)


BUDGET = Budget(spent(2) + 0.001, DELTA)
IMAGES = np.random.default_rng(3).integers(0, 256, (3, 6, 5, 3), np.uint8)
DATA = ((0, 1), (1, 2))
"""The images in the data sets that a site can be given, which share one."""
OWNERS = ("file", "anchor")
FORMS = ("uint8.npz", "float32.npz", "float64.npz", "png", "uint8.npy", "float32.npy")


@cache
def read_as(form: str, data: int) -> Manifest:
    """Return a data set as the site reads it from files of this form."""
    images, kind = IMAGES[list(DATA[data])], form.split(".")[0]
    stored = images if kind in ("png", "uint8") else (images / 255).astype(kind)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if form.endswith(".npz"):
            labels = np.zeros(len(images), np.int64)
            one = {"images": stored, "labels": labels}
            splits = {f"{s}_{n}": one[n] for s in ("train", "val", "test") for n in one}
            np.savez(folder / "data.npz", **splits)
            return manifest_of(as_split(read_npz(folder / "data.npz")["train"], RGB))
        loaded = []
        for number, image in enumerate(stored):
            if form == "png":
                path = folder / f"{number}.png"
                Image.fromarray(image).save(path)
            else:
                path = folder / f"{number}.npy"
                np.save(path, image)
            loaded.append(load_image(path))
    # As clients.data.folder names them before it changes the pixels.
    records: Texts = np.array([each.name for each in loaded])
    older = tuple(each.older for each in loaded)
    examples = Examples(images, np.zeros(len(images)), records, None, older)
    return manifest_of(as_split(examples, RGB))


DATA_SET, FORM = st.integers(0, len(DATA) - 1), st.sampled_from(FORMS)


class Owner(RuleBasedStateMachine):
    """An owner's sites; counts by itself for what each image has been used."""

    sites = Bundle("sites")
    under_way = Bundle("under_way")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="srflm-owner-"))
        self.used: Counter[int] = Counter()
        self.number, self.now = 0, 0
        # How many grants each file knows; the copies' own under "copies/…".
        self.knows: Counter[str] = Counter()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    # ---- sites come, go, and get other names -----------------------------------------------------

    @rule(target=sites)
    def join(self) -> str:
        return self._fresh_name()

    @rule(site=consumes(sites))
    def leave(self, site: str) -> None:
        self._put(site, None)

    @rule(target=sites, site=consumes(sites))
    def rename(self, site: str) -> str:
        """The same site under another name, in a federation of another name."""
        name = self._fresh_name()
        self._put(name, site)
        self._put(site, None)
        return name

    # ---- work ------------------------------------------------------------------------------------

    @rule(target=under_way, site=sites, data=DATA_SET, form=FORM)
    def train(self, site: str, data: int, form: str) -> object:
        return self._train(site, data, form)

    @rule(data=DATA_SET, form=FORM)
    def simulate(self, data: int, form: str) -> None:
        """In a federation of the owner's own, which has seen nothing and ends at once."""
        self._train(self._fresh_name(), data, form)

    @rule(work=consumes(under_way), steps=st.integers(0, STEP.steps))
    def end(self, work: tuple[str, Reservation], steps: int) -> None:
        """Others may have begun since; without this rule the work broke off."""
        site, reservation = work
        if self._nobody_can_tell(site):
            return
        try:
            self.place(site).open().settle(reservation, steps)
        except PrivacyError:
            return

    # ---- copies ----------------------------------------------------------------------------------

    @rule()
    def back_up(self) -> None:
        for name in OWNERS:
            self._put(f"copies/{name}", name)

    @rule(what=st.sampled_from([OWNERS, OWNERS[:1], OWNERS[1:]]))
    def restore(self, what: tuple[str, ...]) -> None:
        if self._path(f"copies/{what[0]}").exists():
            for name in what:
                self._put(name, f"copies/{name}")

    @rule(site=sites)
    def back_up_site(self, site: str) -> None:
        self._put(f"copies/{site}", site)

    @rule(site=sites)
    def restore_site(self, site: str) -> None:
        if self._path(f"copies/{site}").exists():
            self._put(site, f"copies/{site}")

    @rule(site=sites)
    def give_up_what_is_unknown(self, site: str) -> None:
        """An operator does so with a ledger that is refused, and names all data there are."""
        try:
            self.place(site).open().books()
        except PrivacyError:
            everything = [read_as(form, data) for form in FORMS for data in range(len(DATA))]
            give_up(self.place(site), everything, "a test")
            self._all_know(site)

    # ---- within ----------------------------------------------------------------------------------

    def _train(self, site: str, data: int, form: str) -> object:
        if self._nobody_can_tell(site):
            return multiple()
        # Opened anew: every training is that of a restarted site.
        ledger = self.place(site).open()
        try:
            use = Use(ledger.enrol(read_as(form, data)), "client", STEP, site, 1, 1)
            found = ledger.reserve(use, BUDGET)
        except PrivacyError:
            return multiple()
        if not isinstance(found, Reservation):
            return multiple()
        self._all_know(site)
        self.used.update(DATA[data])
        most = max(self.used.values())
        assert spent(most) <= BUDGET.epsilon, "more than the budget"
        return site, found

    def _all_know(self, site: str) -> None:
        self.now += 1
        for name in (*OWNERS, site):
            self.knows[name] = self.now

    def place(self, site: str) -> LedgerPlace:
        return owners_ledger(self._path("file"), witness=self._path(site))

    def _nobody_can_tell(self, site: str) -> bool:
        """Return whether the ledger lacks grants that none of the site's files knows."""
        return self.knows["file"] < self.now and self.knows["file"] >= max(
            self.knows["anchor"], self.knows[site]
        )

    def _path(self, name: str) -> Path:
        names = {"file": "owner/privacy.sqlite", "anchor": "owner/privacy.anchor"}
        folder, _, last = name.rpartition("/")
        return self.folder / folder / names.get(last, f"{last}/identity.anchor")

    def _put(self, to: str, source: str | None) -> None:
        """Put a copy of ``source`` in the place of ``to``, or nothing."""
        path = self._path(to)
        path.unlink(missing_ok=True)
        self.knows[to] = 0
        if source is not None and self._path(source).exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._path(source), path)
            self.knows[to] = self.knows[source]

    def _fresh_name(self) -> str:
        self.number += 1
        return f"site-{self.number}"


RGB = classification(channels=3)


def explore(examples: int) -> None:
    chosen = settings(
        max_examples=examples,
        stateful_step_count=20,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with pytest.MonkeyPatch.context() as patch:
        without_waits(patch)
        run_state_machine_as_test(Owner, settings=chosen)
