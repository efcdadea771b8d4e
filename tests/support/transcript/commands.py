"""The commands of a transcript that concern servers and their messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from strategies.protocol import messages as wire
from strategies.protocol.quorum import NONE_SEEN
from strategies.protocol.records import RunOrder
from strategies.protocol.signatures import sign_order
from strategies.protocol.succession import Seen, next_turn
from strategies.weights import hash_weights
from tests.support.deployed import TIMEOUTS
from tests.support.scripted_servers import Letter, ScriptedFederation, Serving
from tests.support.transcript.sites import SITE_COMMANDS, SiteCommands
from tests.support.transcript.words import Words, ended, listed, request_in, word_of

IMPOSSIBLE = "impossible: "
WORK = ("train", "recall", "fine-tune", "evaluate")
"""Messages of which a command that goes through several phases tells refusals only."""


class Impossible(Exception):
    """A command that cannot be carried out, because the run has taken another course."""


class Script:
    """Runs one command after another on a federation that begins with nothing but its keys."""

    def __init__(self, sites: ScriptedFederation) -> None:
        sites.clear()
        initial = hash_weights(sites.site(sites.roster[0]).initial)
        self._sites = sites
        self._words = Words(sites.first.hash, initial, sites.first.election.loss_weight)
        self._site_commands = SiteCommands(sites, self._words)
        self._proposed: set[str] = set()
        self._events: list[str] = []
        self._is_brief = False

    @contextmanager
    def playing(self) -> Iterator[Script]:
        """End all servers afterwards."""
        try:
            yield self
        finally:
            for vendor in list(self._sites.serving):
                self._sites.kill(vendor)

    def run(self, command: str) -> list[str]:
        """Return the events of a command; raises ValueError for an unknown one."""
        for pattern, act in SITE_COMMANDS.items():
            if found := re.fullmatch(pattern, command):
                return act(self._site_commands, **found.groupdict())
        for pattern, act in COMMANDS.items():
            if found := re.fullmatch(pattern, command):
                return self._told(act, **found.groupdict())
        known = "\n".join((*COMMANDS, *SITE_COMMANDS))
        raise ValueError(f"found the command {command!r}, expected one of\n{known}")

    def _told(self, act: Callable[..., None], **words: str | None) -> list[str]:
        self._events, self._is_brief = [], False
        try:
            act(self, **words)
        except Impossible as error:
            self._events.append(f"{IMPOSSIBLE}{error}")
        return self._events

    # ---- servers -----------------------------------------------------------------------------

    def order(self, rounds: str, vendor: str) -> None:
        """Let a vendor order a run at all sites that are up."""
        keys, federation = self._sites.site(vendor).keys, self._sites.first.hash
        order = RunOrder(number=1, federation=federation, rounds=int(rounds), vendor=vendor)
        self._to_the_end(vendor, kind="order", order=sign_order(order, keys))

    def sync(self, vendor: str) -> None:
        """Let a site ask the others how far they are, as its launcher does when it comes up."""
        self._to_the_end(vendor, kind="sync")

    def term_opens(self, term: str, vendor: str) -> None:
        """Start the vendor's server; it goes on until it waits for answers."""
        self._go_on(self._begin(vendor, attempt=self._attempt(term, vendor)))

    def term_runs(self, term: str, vendor: str) -> None:
        """Let the vendor serve a term to its end, and every message arrive."""
        self._is_brief = True
        self._to_the_end(vendor, attempt=self._attempt(term, vendor))

    def _attempt(self, term: str, vendor: str) -> int:
        """Return the attempt under which the vendor's launcher would serve the open term."""
        view = self._sites.site(vendor).site.participant.view()
        if view.head_term + 1 != int(term):
            raise Impossible(f"term {view.head_term + 1} is open at {vendor}")
        turn = next_turn(vendor, view.ranking, Seen(view.attempt, 0.0), TIMEOUTS)
        since = "the last commit" if view.attempt == NONE_SEEN else f"it saw attempt {view.attempt}"
        when = f"{turn.due:g} s after {since}" if turn.due else "at once"
        self._events.append(f"{vendor} serves term {term} under attempt {turn.attempt}, {when}")
        return turn.attempt

    def _begin(self, vendor: str, **task: Any) -> Serving:
        if vendor in self._sites.serving:
            raise Impossible(f"the server of {vendor} is still at work")
        return self._sites.begin(vendor, **task)

    def _to_the_end(self, vendor: str, **task: Any) -> None:
        serving = self._begin(vendor, **task)
        self._go_on(serving)
        while not serving.is_over:
            self._deliver(serving.waiting())

    def _go_on(self, serving: Serving) -> None:
        """Let a server work on; tell what it asks next, or how it has ended."""
        serving.go_on()
        vendor, letters = serving.vendor, serving.waiting()
        if letters:
            self._tell_proposal(vendor, request_in(letters[0].message))
        asked = [(self._words.asked(letter.message), letter) for letter in letters]
        for text, group in groupby(asked, key=lambda pair: pair[0]):
            to = [letter for _, letter in group]
            if not self._is_left_out(to[0]):
                sites = listed(letter.site for letter in to)
                self._events += f"{vendor} {text.format(sites)}".splitlines()
        if serving.outcome is not None:
            del self._sites.serving[vendor]
            self._events += f"{vendor} ends: {ended(serving.outcome)}".splitlines()

    def _tell_proposal(self, vendor: str, request: wire.Request) -> None:
        """Tell under which attempt a record is proposed and, the first time, what it says."""
        if not isinstance(request, wire.Accept):
            return
        record, attempt = request.proposal.record, request.envelope.attempt
        is_new = record.hash not in self._proposed
        self._proposed.add(record.hash)
        name = self._words.record(record.hash) + ("" if is_new else " again")
        self._events.append(f"{vendor} proposes {name} under attempt {attempt}")
        if is_new:
            self._events += [f"  {line}" for line in self._words.said_by(record)]

    # ---- messages ----------------------------------------------------------------------------

    def messages(self, deed: str, kind: str | None, server: str | None, to: str | None) -> None:
        """Deliver messages on their way, or lose them."""
        chosen = [
            letter
            for serving in self._sites.serving.values()
            for letter in serving.waiting()
            if kind in (None, word_of(letter.message))
            and server in (None, serving.vendor)
            and (to is None or letter.site in to.split())
        ]
        if not chosen:
            raise Impossible("no such message is on its way")
        self._deliver(chosen, is_lost=deed == "lose")

    def until(self, kind: str, server: str) -> None:
        """Deliver all messages of one server, phase by phase, until it sends those of a kind."""
        self._is_brief = True
        while server in self._sites.serving:
            letters = self._sites.serving[server].waiting()
            if word_of(letters[0].message) == kind:
                return
            self._deliver(letters)
        raise Impossible(f"{server} does not serve any more")

    def _deliver(self, letters: Iterable[Letter], is_lost: bool = False) -> None:
        """Let messages arrive or not; servers that wait for none of theirs any more go on."""
        answers = [(self._fate(letter, is_lost), letter) for letter in letters]
        for text, group in groupby(answers, key=lambda pair: pair[0]):
            to = [letter for _, letter in group]
            if not self._is_left_out(to[0]) or text.startswith("refusal"):
                sites = listed(letter.site for letter in to)
                self._events += f"{sites}: {text}".splitlines()
        for serving in list(self._sites.serving.values()):
            if not serving.waiting():
                self._go_on(serving)

    def _fate(self, letter: Letter, is_lost: bool) -> str:
        """Let a message arrive or not; return what came of it."""
        if is_lost or letter.site in self._sites.off:
            letter.lose()
            return f"{word_of(letter.message)} is lost" if is_lost else "is down"
        before = self._sites.trained.total()
        reply = wire.unpack(letter.arrive(), wire.Reply)
        has_trained = self._sites.trained.total() > before
        reason = self._sites.last_log_line(letter.site) if reply.status == "failed" else ""
        return self._words.answered(letter.message, reply, reason, has_trained)

    def _is_left_out(self, letter: Letter) -> bool:
        return self._is_brief and word_of(letter.message) in WORK


COMMANDS: dict[str, Callable[..., None]] = {
    r"(?P<vendor>\w+) orders (?P<rounds>\d+) rounds": Script.order,
    r"sync (?P<vendor>\w+)": Script.sync,
    r"term (?P<term>\d+) opens at (?P<vendor>\w+)": Script.term_opens,
    r"term (?P<term>\d+) runs at (?P<vendor>\w+)": Script.term_runs,
    r"deliver until (?P<kind>\S+) from (?P<server>\w+)": Script.until,
    r"(?P<deed>deliver|lose)(?: (?!from |to )(?P<kind>\S+))?"
    r"(?: from (?P<server>\w+))?(?: to (?P<to>.+))?": Script.messages,
}
"""Pattern → command; without a kind, a server, or sites, all messages on their way are meant."""
