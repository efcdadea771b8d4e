"""A vendor that is elected and lies: it signs again all that bears its own name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Message, RecordDict
from pydantic import ValidationError

from deploy.site.deployed_site import DeployedSite
from strategies.flower_private import message_without_superlink
from strategies.protocol import messages as wire
from strategies.protocol.memory import Memories, memories_in, signed_memory, with_memories
from strategies.protocol.records import Certificate, Committed, Edition, Grant, Noun, Proposal
from strategies.protocol.records import RunOrder as Order
from strategies.protocol.signatures import (
    acceptance_statement,
    record_statement,
    sign_grant,
    sign_order,
)
from strategies.protocol.yielding import YieldAttempt, signed_yield
from strategies.weights import Model, Weights
from tests.srflm_flower.lies.falsehoods import STRANGER, Falsehood, falsehoods, honest_at, told
from tests.srflm_flower.lies.places import Place, places
from tests.support.attacks.false_models import false_model

NOUN = "noun"
_CERTIFIED = ("certificate", "proposal")
FALSE_MODELS = {
    "not finite": lambda w: {name: np.full_like(array, np.nan) for name, array in w.items()},
    "infinite": lambda w: {name: np.full_like(array, np.inf) for name, array in w.items()},
    "other names": lambda w: {f"other-{name}": array for name, array in w.items()},
    "another shape": lambda w: {name: np.zeros(5, np.float32) for name in w},
    "another type": lambda w: {name: array.astype(np.float64) for name, array in w.items()},
    "an array more": lambda w: {**w, "patient": np.zeros(9, np.float32)},
    "no array": lambda w: {},
}


@dataclass(frozen=True)
class Lie:
    """A false message: what in it is false, in which way, and who sends it."""

    place: str
    family: str
    message: Message
    sender: str

    @property
    def kind(self) -> str:
        """The message, place, and family: lies of one kind differ in their values only."""
        return f"{self.message.metadata.message_type} {self.place}: {self.family}"


@dataclass(frozen=True)
class Liar:
    """An elected vendor that lies to the site of ``victim``."""

    site: DeployedSite
    victim: str
    roster: tuple[str, ...]
    nouns: dict[str, type[wire.Request]]
    """Message type → its noun, of every message that a site answers."""

    @cached_property
    def known(self) -> dict[Any, Any]:
        """Samples of what fills a place where nothing stands."""
        order = self.site.state.ledger.order()
        edition = self.site.federation.as_edition
        return {
            str: self.victim,
            Edition: edition.model_dump(mode="json"),
            Order: order.model_dump(mode="json") if order is not None else {},
        }

    def lies(self, honest: Message, earlier: list[Message], memories: bool) -> Iterator[list[Lie]]:
        """Yield the lies about each place of an honest message, and of its ``memories``.

        ``earlier`` are messages of the term before.
        """
        kind = honest.metadata.message_type
        for place in places(self.nouns[kind]):
            yield list(self._about(honest, place, self.nouns[kind]))
        if memories:
            for place in places(Memories):
                yield list(self._of_memory(honest, place))
        yield list(self._about_models(honest))
        yield list(self._as_a_whole(honest, earlier))

    # ---- one field -----------------------------------------------------------------------------

    def _about(self, honest: Message, place: Place, declared: type[Noun]) -> Iterator[Lie]:
        noun = json.loads(str(honest.content.config_records[NOUN]["json"]))
        value = honest_at(noun, declared, place, self.known)
        for falsehood in falsehoods(place, value, self.roster, self.known):
            lying = told(noun, declared, place, falsehood, self.known)
            text = json.dumps(lying)
            # A signature that is itself the lie stays as it is.
            if not {"signature", "acceptances"} & {*place.path} and place.path[-2:] != _CERTIFIED:
                text = self.signed_again(text, declared)
            yield self._lie(honest, place.name, falsehood.family, with_noun(honest, text))
        models = wire.models_in(honest.content) | _store_of(self.site, value)
        if isinstance(value, str) and value in models:
            for family, change in FALSE_MODELS.items():
                model = Model.of(change(models[value].weights))
                lying = told(noun, declared, place, Falsehood("a model", model.hash), self.known)
                content = with_noun(honest, self.signed_again(json.dumps(lying), declared))
                content = wire.with_models(content, [model])
                yield self._lie(honest, place.name, f"a model: {family}", content)

    def _of_memory(self, honest: Message, place: Place) -> Iterator[Lie]:
        noun = memories_in(honest.content).model_dump(mode="json")
        value = honest_at(noun, Memories, place, self.known)
        for falsehood in falsehoods(place, value, self.roster, self.known):
            lying = told(noun, Memories, place, falsehood, self.known)
            record = dict(with_memories(honest.content, Memories()).config_records[NOUN])
            for name, each in lying.items() if isinstance(lying, dict) else ():
                record[f"memory:{name}"] = json.dumps(each)
            content = RecordDict({**honest.content, NOUN: ConfigRecord(record)})
            if place.path[0] == "own" and place.path[-1] != "signature":
                content = self._remembering(content)
            yield self._lie(honest, f"memory.{place.name}", falsehood.family, content)

    def _remembering(self, content: RecordDict) -> RecordDict:
        memories = memories_in(content)
        if memories.own is None:
            return content
        first, keys = self.site.federation.first_edition.federation, self.site.keys
        own = signed_memory(memories.own, first, keys)
        return with_memories(content, memories.model_copy(update={"own": own}))

    # ---- what travels beside the noun ------------------------------------------------------------

    def _about_models(self, honest: Message) -> Iterator[Lie]:
        models = list(wire.models_in(honest.content).values())
        weights: Weights = (models or [self.site.initial])[0].weights
        name = (models or [self.site.initial])[0].hash
        for family, change in FALSE_MODELS.items():
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

    # ----------------------------------------------------------------------------------------------

    def signed_again(self, text: str, declared: type[Noun]) -> str:
        """Return a noun's JSON with every signature that the liar can make; as it is if invalid."""
        try:
            noun = declared.model_validate_json(text)
        except (ValidationError, ValueError):
            return text
        return self._sign(noun).model_dump_json()

    def _sign(self, value: Any) -> Any:
        keys, vendor = self.site.keys, self.site.vendor
        if isinstance(value, tuple):
            return tuple(self._sign(each) for each in value)
        if not isinstance(value, Noun):
            return value
        value = value.model_copy(
            update={name: self._sign(getattr(value, name)) for name in type(value).model_fields}
        )
        if isinstance(value, Proposal):
            signature = keys.sign(record_statement(value.record))
            return value.model_copy(update={"signature": signature})
        if isinstance(value, Grant) and value.vendor == vendor:
            head = self.site.state.ledger.last()
            term = head.term + 1 if head is not None else 1
            return sign_grant(self.site.federation.hash, term, value, keys)
        if isinstance(value, Order):
            return sign_order(value, keys)
        if isinstance(value, YieldAttempt):
            return signed_yield(value.envelope, value.absence, keys)
        if isinstance(value, Committed):
            return value.model_copy(update={"certificate": self._certify(value)})
        return value

    def _certify(self, committed: Committed) -> Certificate:
        record, certificate, keys = committed.record, committed.certificate, self.site.keys
        log = certificate.logs.get(self.site.vendor)
        own = acceptance_statement(self.site.vendor, record, certificate.attempt, log)
        accepted = {**certificate.acceptances, self.site.vendor: keys.sign(own)}
        proposal = keys.sign(record_statement(record))
        return certificate.model_copy(update={"proposal": proposal, "acceptances": accepted})

    def _lie(self, honest: Message, place: str, family: str, content: RecordDict) -> Lie:
        return Lie(place, family, same_as(honest, content), self.site.vendor)


def same_as(message: Message, content: RecordDict, kind: str = "") -> Message:
    """Return a message with other content, or of another type, in place of ``message``."""
    data = message.metadata
    return message_without_superlink(
        content, kind or data.message_type, data.dst_node_id, data.message_id
    )


def with_noun(honest: Message, text: str) -> RecordDict:
    noun = ConfigRecord({**honest.content.config_records[NOUN], "json": text})
    return RecordDict({**honest.content, NOUN: noun})


def _store_of(site: DeployedSite, name: object) -> dict[str, Model]:
    stored = site.models.find(name) if isinstance(name, str) and len(name) == 64 else None
    return {stored.hash: stored} if stored is not None else {}
