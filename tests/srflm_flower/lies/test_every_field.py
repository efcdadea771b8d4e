"""An elected server lies in every field of every message: a site does nothing but the agreed plan.

The places are found in the declarations of the messages, so a field added later is lied about too.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from flwr.app import Message

from srflm_flower.run.memory_grid import Deliver
from strategies.errors import MessageRefused
from strategies.protocol import messages as wire
from strategies.secure_aggregation import messages as secure
from tests.srflm_flower.lies.barrage import Barrage, NotingFederation
from tests.srflm_flower.lies.free import FREE, Free, broken
from tests.srflm_flower.lies.liar import DEEP, Liar
from tests.srflm_flower.lies.places import places
from tests.srflm_flower.lies.rules import Scene, never
from tests.support.deployed import pass_on
from tests.support.quick_sites import quick_federation
from tests.support.secure_sites import SECURE


@dataclass(frozen=True)
class Term:
    """A term with a liar: the attempt that it serves, and the settings of the federation.

    All vendors that come before it in the ranking are silent.  ``about`` are the types of messages
    about which it lies: all if empty.
    """

    name: str
    attempt: int = 0
    settings: dict[str, object] = field(default_factory=dict)
    about: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return self.name


TWO_ROUNDS = {"rounds_per_term": 2, "run__rounds": 4}
TERMS = (
    Term("elected"),
    Term("stands-in", 1, about=frozenset({wire.OPEN, wire.ACCEPT, wire.COMMIT})),
    Term(
        "sums-of-two-rounds",
        0,
        SECURE | TWO_ROUNDS,
        frozenset({wire.TRAIN, wire.ACCEPT, *secure.KINDS}),
    ),
)
REFUSED_OF_OTHERS = {
    (wire.RECALL, MessageRefused.SERVER): "weights of one vendor are for its own server only",
    (wire.FINETUNE, MessageRefused.SERVER): "weights of one vendor are for its own server only",
    (wire.SHARE, MessageRefused.NOT_SHARED): "this site shares no personalised model",
}
"""Honest messages that a site refuses of another vendor's server, with the codes."""


def lie_through_a_term(folder: Path, term: Term, seed: int | None) -> set[Free]:
    """Let a server tell one lie about each place (all of them without a seed).

    Returns which entries of the table were needed.
    """
    # A server that joins recalls no update: with the paper's rule a site hears every message.
    settings = {"aggregation__fine_tuned": "replaces", **term.settings}
    with quick_federation(folder, tuple("abcd"), NotingFederation, **settings) as sites:
        assert isinstance(sites, NotingFederation)
        barrage = prepared(sites, folder, term, seed)
        liar, used = barrage.liar, set[Free]()
        head = sites.records(liar.victim)[-1]
        sites.fault = barrage.fault
        outcome = sites.perform(liar.site.vendor, attempt=term.attempt)
        sites.fault, sites.down = pass_on, set()
        assert barrage.wrong == [], "no lie meets code that is not ready for it"
        scene = Scene(sites, liar, head)
        found = [never(each, scene) or broken(each, scene, used) for each in barrage.taken]
        assert [each for each in found if each] == []
        # In the same turn the same server finishes the term once it speaks the truth.
        assert outcome.result == "committed", outcome
        present = [v for v in sites.roster if v in head.ranking[term.attempt :]]
        assert {sites.head(vendor) for vendor in present} == {2}
        sites.agree()
        # The site is put back after whatever makes it train, and then it trains again.
        trained = sites.trained - barrage.forgotten
        assert all(n == 1 for (*_, role), n in trained.items() if role == "client"), trained
        check_heard(barrage, term, seed)
        return used


def prepared(sites: NotingFederation, folder: Path, term: Term, seed: int | None) -> Barrage:
    """Commit a term in honesty; return the barrage for the next one."""
    sites.clear()
    sites.order("b", rounds=18)
    earlier: list[Message] = []

    def recording(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        if site == "d":
            earlier.append(message)
        return deliver(message)

    sites.fault = recording
    sites.run_to(1)
    *silent, elected = sites.records("a")[0].ranking[: term.attempt + 1]
    sites.down = {*silent}
    bystander, victim = sites.records("a")[0].ranking[-2:]
    nouns = {kind: noun for kind, (noun, *_) in sites.site(victim).site._handlers.items()}
    liar = Liar(sites.site(elected), victim, bystander, sites.roster, nouns)
    choice = random.Random(seed) if seed is not None else None
    return Barrage(sites, liar, folder / "copy", earlier, choice, term.about)


def check_heard(barrage: Barrage, term: Term, seed: int | None) -> None:
    """Check that the site has read lies about every place of every message."""
    nouns = barrage.liar.nouns
    kinds = term.about or nouns.keys()
    lied_about = {where.partition(" (")[0] for where in barrage.codes}
    every = {f"{kind} {place.name}" for kind in kinds for place in places(nouns[kind])}
    missed = {w for w in every - lied_about if seed is None or not w.split(" ")[1].startswith(DEEP)}
    assert not missed
    for kind in kinds:
        answers = barrage.honest[kind]
        is_refused = any((kind, code) in REFUSED_OF_OTHERS for _, code in answers)
        is_no_plan = kind in secure.KINDS and "aggregation__secure" not in term.settings
        assert ("done", "") in answers or is_refused or is_no_plan, (kind, answers)
        read = {w for w, codes in barrage.codes.items() if codes != {MessageRefused.MALFORMED}}
        assert [w for w in read if w.startswith(f"{kind} ")], f"no lie about {kind} was read"


@pytest.mark.parametrize("term", TERMS, ids=str)
def test_site_does_nothing_but_the_plan_whatever_a_server_says(tmp_path: Path, term: Term) -> None:
    lie_through_a_term(tmp_path, term, seed=7)


@pytest.mark.slow
def test_no_lie_of_any_kind_is_taken(tmp_path: Path) -> None:
    used = set[Free]()
    for term in TERMS:
        (tmp_path / term.name).mkdir()
        used |= lie_through_a_term(tmp_path / term.name, term, None)
    assert [(each.where, each.families) for each in FREE if each not in used] == []
