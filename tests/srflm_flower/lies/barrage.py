"""A term in which one site gets, before each honest message of the elected server, every lie."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flwr.app import Message

from clients.learner import Trained
from clients.training import Work
from srflm_flower.client_app import answer_at
from srflm_flower.run.memory_grid import Deliver
from strategies.errors import INTERNAL_ERROR
from strategies.protocol import messages as wire
from strategies.weights import Model, Weights
from tests.srflm_flower.lies.liar import Liar, Lie, same_as, with_noun
from tests.srflm_flower.lies.places import sample
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
class Taken:
    """A lie that the site did not refuse, and what the site did then."""

    lie: Lie
    reply: wire.Reply
    before: dict[str, list[Any]]
    after: dict[str, list[Any]]
    done: tuple[tuple[Any, ...], ...]


@dataclass
class Barrage:
    """The lies of ``liar`` to one site, and what came of them."""

    sites: NotingFederation
    liar: Liar
    copy: Path
    earlier: list[Message] = field(default_factory=list)
    choice: random.Random | None = None
    """Which lie is told about each place; without it, every one."""
    told: Counter[str] = field(default_factory=Counter)
    taken: list[Taken] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _honest: dict[str, Message] = field(default_factory=dict)
    _lied_about: set[str] = field(default_factory=set)

    def fault(self, server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        """Tell the victim all lies about a message when it comes for the first time."""
        kind = kind_of(message)
        if server != self.liar.site.vendor:
            return deliver(message)
        self._honest.setdefault(kind, message)
        if site == self.liar.victim:
            self.lie_about(message)
            if kind == wire.ACCEPT:
                self.lie_about_the_rest(message)
        return deliver(message)

    def lie_about_the_rest(self, like: Message) -> None:
        """Lie about all messages that are not sent to the victim in this term."""
        envelope = wire.envelope_of(like)
        assert envelope is not None
        known = self.liar.known | {wire.Envelope: envelope.model_dump(mode="json")}
        for kind, noun in self.liar.nouns.items():
            message = self._honest.get(kind)
            if message is None and kind != wire.COMMIT:
                content = with_noun(like, json.dumps(sample(noun, known)))
                message = same_as(like, content, kind)
            if message is not None:
                self.lie_about(message)

    def lie_about(self, honest: Message) -> None:
        """Tell the victim every lie about an honest message, once for each type of message."""
        if kind_of(honest) in self._lied_about:
            return
        memories = not self._lied_about
        self._lied_about.add(kind_of(honest))
        victim = self.liar.victim
        self.sites.keep_copy(victim, self.copy)
        before = content_of(self.sites.site(victim))
        for lies in self.liar.lies(honest, self.earlier, memories):
            for lie in [self.choice.choice(lies)] if self.choice else lies:
                self._tell(lie, before)

    def _tell(self, lie: Lie, before: dict[str, list[Any]]) -> None:
        victim = self.liar.victim
        self.told[lie.kind] += 1
        worked = len(self.sites.done)
        answer = answer_at(lambda: self.sites.site(victim), lie.message, lie.sender)
        reply = wire.noun_in(answer.content, wire.Reply)
        after, done = content_of(self.sites.site(victim)), tuple(self.sites.done[worked:])
        if reply.code == INTERNAL_ERROR:
            path = self.sites.folders[victim] / "state" / "site.log"
            self.wrong.append(f"{lie.kind}: {path.read_text().splitlines()[-1]}")
        if reply.status == "failed" and after == before and not done:
            if lie.place.startswith("memory"):
                self.sites.put_back(victim, self.copy)
            return
        self.taken.append(Taken(lie, reply, before, after, done))
        self.sites.put_back(victim, self.copy)
