"""A vendor that is elected and lies in one place of a message; it signs again what is its own."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Message, RecordDict

from deploy.site.deployed_site import DeployedSite
from strategies.flower_private import message_without_superlink
from strategies.protocol import messages as wire
from strategies.protocol.evidence_nouns import Acceptance, ClientWork, Evidence, Said
from strategies.protocol.memory import Memories, memories_in, with_memories
from strategies.protocol.records import Absence, Ballot, Edition, Grant, Noun, Proposal, SignedWork
from strategies.protocol.records import RunOrder as Order
from strategies.weights import Model, Weights
from tests.srflm_flower.lies.falsehoods import STRANGER, Falsehood, falsehoods, honest_at, told
from tests.srflm_flower.lies.own_signatures import OwnSignatures
from tests.srflm_flower.lies.places import Place, places
from tests.srflm_flower.lies.samples import Samples
from tests.support.attacks.false_models import false_model

NOUN = "noun"
DEEP = ("evidence.*.one.", "evidence.*.other.")
"""Hundreds of places, as evidence has whole records in it."""
OTHER_MODELS = {
    "not finite": lambda w: {name: np.full_like(array, np.nan) for name, array in w.items()},
    "infinite": lambda w: {name: np.full_like(array, np.inf) for name, array in w.items()},
    "other names": lambda w: {f"other-{name}": array for name, array in w.items()},
    "another shape": lambda w: {name: np.zeros(5, np.float32) for name in w},
    "another type": lambda w: {name: array.astype(np.float64) for name, array in w.items()},
    "an array more": lambda w: {**w, "patient": np.zeros(9, np.float32)},
    "no array": lambda w: {},
    "of other values": lambda w: {name: array * np.float32(0.5) for name, array in w.items()},
}
"""The last one could be any server's own; the others are none of this network."""


@dataclass(frozen=True)
class Lie:
    """A false message: what in it is false, about whom, in which way, and who sends it."""

    place: str
    family: str
    message: Message
    sender: str

    @property
    def kind(self) -> str:
        """The message, place, and family: lies of one kind differ in their values only."""
        return f"{self.where}: {self.family}"

    @property
    def where(self) -> str:
        """The message and place."""
        return f"{self.message.metadata.message_type} {self.place}"


@dataclass(frozen=True)
class _Spot:
    """A place in the JSON ``text`` of an honest message; ``whose`` entry, in ``words``."""

    honest: Message
    text: str
    noun: type[Noun]
    place: Place
    whose: str
    words: str
    samples: Samples

    @property
    def name(self) -> str:
        """The place in words."""
        return f"{self.place.name}{self.words}"

    @property
    def value(self) -> Any:
        """What stands there, or could."""
        return honest_at(self.text, self.noun, self.place, self.whose, self.samples)

    def with_lie(self, value: Any) -> str:
        """Return the JSON with another value there."""
        return told(self.text, self.noun, self.place, self.whose, value, self.samples)


Telling = Callable[[], Lie]
"""Makes the lie: of many that can be told about a place, only a few may be."""


@dataclass(frozen=True)
class Liar:
    """An elected vendor that lies to the site of ``victim``, about itself and others."""

    site: DeployedSite
    victim: str
    bystander: str
    roster: tuple[str, ...]
    nouns: dict[str, type[wire.Request]]
    """Message type → its noun, of every message that a site answers."""

    @cached_property
    def samples(self) -> Samples:
        """Samples of what fills a place where nothing stands."""
        order = self.site.state.ledger.order()
        edition = self.site.federation.as_edition
        own = Absence(vendor=self.site.vendor, phase="train", code="SRFLM-D1", signature="")
        found = {kind: each.model_dump(mode="json") for kind, each in self._evidence().items()}
        return Samples(
            {
                Evidence: found["grant"],
                **{(Evidence, kind): each for kind, each in found.items()},
                str: self.victim,
                r"^[0-9a-f]{32}$": "5e" * 16,
                r"^[0-9a-f]{64}$": "5e" * 32,
                Edition: edition.model_dump(mode="json"),
                Order: order.model_dump(mode="json") if order is not None else {},
                Absence: own.model_dump(mode="json"),
            }
        )

    def _evidence(self) -> dict[str, Evidence]:
        """Return genuine evidence against the liar of each kind, by this kind."""
        head, vendor = self.site.state.ledger.last(), self.site.vendor
        assert head is not None
        records = [head.model_copy(update={"server": vendor, "ended": each}) for each in "12"]
        ballots = [Ballot(examples=n + 1, loss=0.5) for n in range(2)]
        works = [
            SignedWork(round=1, role="client", ballot=each, steps=1, signature="")
            for each in ballots
        ]
        said = {
            "record": [Said(record=Proposal(record=each)) for each in records],
            "acceptance": [
                Said(acceptance=Acceptance(record=each, attempt=0, signature=""))
                for each in records
            ],
            "grant": [
                Said(grant=Grant(vendor=vendor, attempt=1, accepted_attempt=0, accepted=each.hash))
                for each in records
            ],
            "ballot": [
                Said(ballot=ClientWork(attempt=0, server=self.victim, told=each)) for each in works
            ],
        }
        return {
            kind: self.own.signed(
                Evidence(
                    vendor=vendor,
                    federation=head.federation,
                    term=head.term,
                    one=one,
                    other=other,
                )
            )
            for kind, (one, other) in said.items()
        }

    @cached_property
    def own(self) -> OwnSignatures:
        """What the liar signs."""
        head = self.site.state.ledger.last()
        first = self.site.federation.first_edition.federation
        term = head.term + 1 if head is not None else 1
        of = self.site.vendor, self.site.keys, first, self.site.federation.hash
        return OwnSignatures(*of, term)

    @cached_property
    def vendors(self) -> dict[str, str]:
        """Vendor → in which words a lie's place names it."""
        return {self.site.vendor: "own", self.victim: "yours", self.bystander: "another's"}

    def lies(
        self,
        honest: Message,
        earlier: list[Message],
        memories: bool,
        choice: random.Random | None,
    ) -> Iterator[list[Telling]]:
        """Yield the lies about each place of an honest message, and of its ``memories``.

        ``earlier`` are messages of the term before.  With a ``choice``, few of the places are told
        about that lie deep within evidence.
        """
        kind = honest.metadata.message_type
        text = str(honest.content.config_records[NOUN]["json"])
        for place in places(self.nouns[kind]):
            if choice is None or not place.name.startswith(DEEP) or choice.random() < 0.1:
                yield from self._about(honest, text, place, self.nouns[kind])
        if memories:
            text = memories_in(honest.content).model_dump_json()
            for place in places(Memories):
                yield from self._about(honest, text, place, Memories)
        for found in (self._about_models(honest), self._as_a_whole(honest, earlier)):
            yield [partial(_as_it_is, lie) for lie in found]

    # ---- one field -----------------------------------------------------------------------------

    def _about(
        self, honest: Message, text: str, place: Place, noun: type[Noun]
    ) -> Iterator[list[Telling]]:
        """Yield the lies about a place: in a list or mapping, about the entry of each vendor."""
        spots: dict[str, _Spot] = {}
        for whose, words in self.vendors.items():
            spot = _Spot(honest, text, noun, place, whose, f" ({words})", self.samples)
            spots.setdefault(spot.with_lie(None), spot)
        for spot in spots.values():
            if len(spots) == 1:  # no vendor's own entry
                spot = replace(spot, words="")
            value = spot.value
            found = falsehoods(place, value, self.roster, self.samples)
            if json.loads(spot.with_lie(value)) == json.loads(text):
                found = found[1:]
            lie = self._lie_in_memory if noun is Memories else self._lie_in_noun
            tellings: list[Telling] = [partial(lie, spot, each) for each in found]
            models = wire.models_in(honest.content) | _store_of(self.site, value)
            if isinstance(value, str) and value in models and noun is not Memories:
                weights = models[value].weights
                tellings += [
                    partial(self._other_model, spot, weights, each) for each in OTHER_MODELS
                ]
            yield tellings

    def _lie_in_noun(self, spot: _Spot, falsehood: Falsehood) -> Lie:
        content = with_noun(spot.honest, self._told(spot, falsehood.value))
        return self._lie(spot.honest, spot.name, falsehood.family, content)

    def _other_model(self, spot: _Spot, weights: Weights, family: str) -> Lie:
        model = Model.of(OTHER_MODELS[family](weights))
        content = with_noun(spot.honest, self._told(spot, model.hash))
        content = wire.with_models(content, [model])
        return self._lie(spot.honest, spot.name, f"a model: {family}", content)

    def _lie_in_memory(self, spot: _Spot, falsehood: Falsehood) -> Lie:
        lying = json.loads(self._told(spot, falsehood.value))
        record = dict(with_memories(spot.honest.content, Memories()).config_records[NOUN])
        for part, each in lying.items():
            record[f"memory:{part}"] = json.dumps(each)
        content = RecordDict({**spot.honest.content, NOUN: ConfigRecord(record)})
        return self._lie(spot.honest, f"memory.{spot.name}", falsehood.family, content)

    def _told(self, spot: _Spot, value: Any) -> str:
        """Return a noun with a lie in it, and with all the signatures that the liar can make."""
        lying = spot.with_lie(value)
        try:
            lying = self.own.signed_again(lying, spot.noun, spot.place.path)
        except ValueError:  # no such noun: the site refuses it as malformed
            return lying
        if not is_signature(spot.place):
            return lying
        # The signature is the lie: it stays as it is, but what encloses it is signed.
        lying = told(lying, spot.noun, spot.place, spot.whose, value, self.samples)
        if "record" in spot.place.path[:-2]:
            with suppress(ValueError):
                lying = self.own.enclosed(lying, spot.noun)
        return lying

    # ---- what travels beside the noun ------------------------------------------------------------

    def _about_models(self, honest: Message) -> Iterator[Lie]:
        models = list(wire.models_in(honest.content).values())
        weights: Weights = (models or [self.site.initial])[0].weights
        name = (models or [self.site.initial])[0].hash
        for family, change in OTHER_MODELS.items():
            false = false_model(change(weights), name)
            content = wire.with_models(honest.content, [false])
            yield self._lie(honest, "models", f"under a false hash: {family}", content)
        stranger = Model.of({STRANGER: np.zeros(3, np.float32)})
        content = wire.with_models(honest.content, [stranger])
        yield self._lie(honest, "models", "one model more", content)
        noun = ConfigRecord({**honest.content.config_records[NOUN], f"model:{name}": b"\0garbage"})
        content = RecordDict({**honest.content, NOUN: noun})
        yield self._lie(honest, "models", "no model at all", content)

    def _as_a_whole(self, honest: Message, earlier: list[Message]) -> Iterator[Lie]:
        content = honest.content
        for kind in self.nouns:
            if kind != honest.metadata.message_type:
                message = same_as(honest, content, kind)
                yield Lie("message", "of another type", message, self.site.vendor)
        for vendor in self.roster:
            if vendor != self.site.vendor:
                yield Lie("message", "from another vendor's SuperLink", honest, vendor)
        for message in earlier:
            if message.metadata.message_type == honest.metadata.message_type:
                yield Lie("message", "of the term before", message, self.site.vendor)
        more = RecordDict({**content, "patient": ConfigRecord({"name": "x"})})
        yield self._lie(honest, "message", "one record more", more)
        bare = RecordDict({k: v for k, v in content.items() if k != NOUN})
        yield self._lie(honest, "message", "without a noun", bare)
        yield self._lie(honest, "message", "no JSON", with_noun(honest, "{"))
        yield self._lie(honest, "message", "deep JSON", with_noun(honest, "[" * 100_000))

    def _lie(self, honest: Message, place: str, family: str, content: RecordDict) -> Lie:
        return Lie(place, family, same_as(honest, content), self.site.vendor)


def _as_it_is(lie: Lie) -> Lie:
    return lie


def is_signature(place: Place) -> bool:
    """Return whether a signature, or a mapping of signatures, stands at a place."""
    names = {"signature", "acceptances", "approvals", "signatures"}
    return bool(names & {*place.path}) or place.path[-2:] == ("certificate", "proposal")


def same_as(message: Message, content: RecordDict, kind: str = "") -> Message:
    """Return a message with other content, or of another type, in place of ``message``."""
    data = message.metadata
    return message_without_superlink(
        content, kind or data.message_type, data.dst_node_id, data.message_id
    )


def with_noun(honest: Message, text: str) -> RecordDict:
    """Return a message's content with another noun."""
    noun = ConfigRecord({**honest.content.config_records[NOUN], "json": text})
    return RecordDict({**honest.content, NOUN: noun})


def _store_of(site: DeployedSite, name: object) -> dict[str, Model]:
    stored = site.models.find(name) if isinstance(name, str) and len(name) == 64 else None
    return {stored.hash: stored} if stored is not None else {}
