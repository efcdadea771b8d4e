"""A term in which one site gets, before each honest message of the elected server, every lie."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flwr.app import Message

from clients.learner import Trained
from clients.models.model_file import read_model_file
from clients.training import Work
from srflm_flower.client_app import answer_at
from srflm_flower.run.memory_grid import Deliver
from strategies.errors import INTERNAL_ERROR, MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.memory import NOUN, memories_in
from strategies.secure_aggregation.client import Secrets
from strategies.weights import Model, Weights, hash_weights
from tests.srflm_flower.lies.liar import DEEP, Liar, Lie, Telling
from tests.srflm_flower.lies.unsent import unsent
from tests.support.quick_sites import InstantLearner, QuickFederation, content_of, kind_of


class NotingLearner(InstantLearner):
    """A learner that notes what it is asked to do."""

    done: list[tuple[Any, ...]]

    def train(
        self,
        weights: Weights,
        work: Work,
        role: str,
        round_number: int,
        checkpoint: object = None,
        term: int = 0,
    ) -> Trained:
        self.done.append((self.vendor, role, round_number, Model.of(weights).hash, work))
        return super().train(weights, work, role, round_number, checkpoint, term)

    def evaluate(self, weights: Weights, split: str) -> dict[str, float]:
        self.done.append((self.vendor, "evaluate", split))
        return super().evaluate(weights, split)


class NotingFederation(QuickFederation):
    """Sites whose learners note what they are asked to do, and that can be put back."""

    def __init__(self, *args: Any, **changes: object) -> None:
        self.done: list[tuple[Any, ...]] = []
        super().__init__(*args, **changes)

    def learner(self, *args: Any) -> InstantLearner:
        plain = super().learner(*args)
        noting = NotingLearner(plain.vendor, plain.trained, plain.number)
        object.__setattr__(noting, "done", self.done)
        return noting

    def keep_copy(self, vendor: str, folder: Path) -> None:
        """Copy a site's state."""
        self.disconnect()
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folders[vendor] / "state", folder)

    def put_back(self, vendor: str, folder: Path) -> None:
        """Put a site's state back."""
        self.disconnect()
        state = self.folders[vendor] / "state"
        for path in state.rglob("*"):
            if path.is_file():
                path.unlink()
        shutil.copytree(folder, state, dirs_exist_ok=True)


@dataclass(frozen=True)
class Outcome:
    """What a site answers to a message, keeps afterwards, and did for it."""

    answer: Message
    content: dict[str, list[Any]]
    done: tuple[tuple[Any, ...], ...]

    @property
    def reply(self) -> wire.Reply:
        """The site's reply."""
        return wire.noun_in(self.answer.content, wire.Reply)

    def differs(self, before: dict[str, list[Any]]) -> set[str]:
        """Return which parts of what the site keeps are other ones than ``before``."""
        return {name for name in before if self.content[name] != before[name]}


@dataclass(frozen=True)
class Taken:
    """A lie that the site did not refuse at once, or that left a trace."""

    lie: Lie
    honest: Message
    noun: wire.Request | None
    """What the site reads in the lie."""
    before: dict[str, list[Any]]
    outcome: Outcome
    expected: Outcome
    """Of the honest message in its place."""

    @property
    def is_none(self) -> bool:
        """Whether the message says what the honest one says, as with a default left out."""
        envelope = wire.envelope_of(self.honest)
        with suppress(ValueError):
            same = self._in(self.lie.message) == self._in(self.honest)
            return same and envelope is not None and self.lie.sender == envelope.server
        return False

    def _in(self, message: Message) -> tuple[object, ...]:
        content = message.content
        noun = wire.noun_in(content, type(self.noun)) if self.noun is not None else content
        models = wire.models_in(content)
        return kind_of(message), noun, {*models}, wire.others_in(content), memories_in(content)

    @property
    def as_honest(self) -> bool:
        """Whether the site did for the lie what it does for the honest message."""
        return self.changed_beside() == set() and self.outcome.done == self.expected.done

    def changed_beside(self) -> set[str]:
        """Return which parts of what the site keeps the honest message would have left so."""
        return self.outcome.differs(self.expected.content)


@dataclass
class Barrage:
    """The lies of ``liar`` to one site, and what came of them."""

    sites: NotingFederation
    liar: Liar
    copy: Path
    earlier: list[Message] = field(default_factory=list)
    choice: random.Random | None = None
    """Which lie is told about each place: the first that can be parsed.  Without it, every one."""
    about: frozenset[str] = frozenset()
    """The types of messages about which it lies; all of them if empty."""
    told: Counter[str] = field(default_factory=Counter)
    codes: dict[str, set[str]] = field(default_factory=dict)
    """Message and place → the codes with which lies there were refused; empty: not refused."""
    honest: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """Type of message → status and code of the answers to honest ones."""
    taken: list[Taken] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    forgotten: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    """The trainings (vendor, round, role) that the victim was made to forget."""
    _seen: dict[str, Message] = field(default_factory=dict)
    _lied_about: set[tuple[object, ...]] = field(default_factory=set)

    def fault(self, server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        """Tell the victim all lies about a message before it comes itself."""
        if server == self.liar.site.vendor:
            self._seen.setdefault(kind_of(message), message)
            if site == self.liar.victim:
                self._lie_about(message)
            if site == self.liar.victim and kind_of(message) == wire.ACCEPT:
                for each in unsent(self.liar, message, self._seen):
                    if kind_of(each) not in self.honest and kind_of(each) != wire.COMMIT:
                        self._lie_about(each)
        reply = deliver(message)
        if server == self.liar.site.vendor and site == self.liar.victim and reply is not None:
            told = wire.noun_in(reply.content, wire.Reply)
            if told.status == "failed":
                self.wrong.append(f"refused an honest {kind_of(message)}: {told.code}")
        return reply

    def _lie_about(self, honest: Message) -> None:
        """Tell the victim every lie about an honest message, once for each type and round.

        A message that is sent again with the models that the victim lacks counts as another one.
        """
        kind, noun = kind_of(honest), json.loads(honest.content.config_records[NOUN]["json"])
        same = kind, noun.get("round"), wire.has_models(honest)
        if same in self._lied_about or (self.about and kind not in self.about):
            return
        self._lied_about.add(same)
        self.sites.keep_copy(self.liar.victim, self.copy)
        before = self._content()
        expected = self._outcome(honest, self.liar.site.vendor)
        self.honest.setdefault(kind, set()).add((expected.reply.status, expected.reply.code))
        self._forget(expected)
        # Some messages count only from a vendor's newest site, and some from any.
        memories = kind in (wire.VOTES, wire.OPEN)
        for lies in self.liar.lies(honest, self.earlier, memories, self.choice):
            for lie in self._chosen(lies):
                code = self._tell(lie, honest, before, expected)
                if self._tells_one(lie) and code != MessageRefused.MALFORMED:
                    break  # one that is no message at all would say little about the site

    def _chosen(self, lies: list[Telling]) -> Iterator[Lie]:
        order = (self.choice or random.Random(7)).sample(lies, len(lies))
        return (lie() for lie in order)

    def _tells_one(self, lie: Lie) -> bool:
        # Evidence against itself a liar can tell in thousands of ways.
        return self.choice is not None or lie.place.startswith(DEEP)

    def _tell(
        self, lie: Lie, honest: Message, before: dict[str, list[Any]], expected: Outcome
    ) -> str:
        """Tell a lie; return the code with which it was refused."""
        self.told[lie.kind] += 1
        outcome = self._outcome(lie.message, lie.sender)
        reply = outcome.reply
        self.codes.setdefault(lie.where, set()).add(reply.code)
        if reply.code == INTERNAL_ERROR:
            path = self.sites.folders[self.liar.victim] / "state" / "site.log"
            self.wrong.append(f"{lie.kind}: {path.read_text().splitlines()[-1]}")
        leaves_trace = bool(outcome.differs(before) or outcome.done)
        if reply.status != "failed" or leaves_trace:
            noun = self._noun_in(lie.message)
            self.taken.append(Taken(lie, honest, noun, before, outcome, expected))
        if reply.status != "failed" or leaves_trace or lie.place.startswith("memory"):
            self._forget(outcome)
        return reply.code

    def _outcome(self, message: Message, sender: str) -> Outcome:
        worked, victim = len(self.sites.done), self.liar.victim
        answer = answer_at(lambda: self.sites.site(victim), message, sender)
        return Outcome(answer, self._content(), tuple(self.sites.done[worked:]))

    def _forget(self, outcome: Outcome) -> None:
        trained = (done for done in outcome.done if done[1] == "client")
        self.forgotten.update((vendor, number, role) for vendor, role, number, *_ in trained)
        self.sites.put_back(self.liar.victim, self.copy)

    def _noun_in(self, message: Message) -> wire.Request | None:
        with suppress(MessageRefused):
            return wire.unpack(message, self.liar.nouns[kind_of(message)])
        return None

    def _content(self) -> dict[str, list[Any]]:
        """Return all that the victim keeps."""
        site = self.sites.site(self.liar.victim)
        return content_of(site) | {"files": _files_in(site.settings.state)}


def _files_in(state: Path) -> list[tuple[str, int]]:
    """Return the files of a site's state, each with a number for its content.

    The ledger's content is compared by its tables; of a refusal only the logs tell.
    """
    logs = "ledger.sqlite*", "audit.jsonl", "site.log", "*.lock", "lock"
    return sorted(
        (str(path.relative_to(state)), _number(path))
        for path in state.rglob("*")
        if path.is_file() and not any(path.match(each) for each in logs)
    )


def _number(path: Path) -> int:
    if path.parent.name != "secure":
        is_plain = path.suffix != ".safetensors" or path.parent.name == "models"
        return hash(path.read_bytes()) if is_plain else _number_of_model(path)
    # The secrets of a sum are random: what counts is how far it has gone, and with whom.
    notes = Secrets.model_validate_json(path.read_bytes())
    cards = [card.vendor for card in notes.cards]
    return hash((*cards, "", *notes.sharers, "", *notes.survivors, notes.masked, notes.released))


def _number_of_model(path: Path) -> int:
    """Return a number for a model and its notes, which the file has in any order."""
    file = read_model_file(path)
    return hash((hash_weights(file.weights), json.dumps(file.notes, sort_keys=True)))
