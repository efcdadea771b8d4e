"""A model of a federation's votes, to be explored: sites with disks, servers, a network, faults.

A state is a value; a step makes the next one.  Every decision is a function of
:mod:`strategies.protocol.quorum`, handed over as :class:`Rules`, so that broken rules can be tried
too.

* The network is the set of all messages ever sent.  One that is delivered stays in it, so it may
  come again, late, or at nobody's: loss, delay, duplication and partition need no steps.
* What a server has heard is no state either: when it proposes or commits it names the answers.
  To hear one disturbs nobody, and after a crash the same answers may come again.
* A crash takes what is not on the disk.  If a site ``dies`` in a step, its message does not leave.
* A site whose disk is lost or put back is forgetful, until :func:`silent_through` knows better.
* ``liars`` sign any vote, and as servers propose any record.
* A vendor with ``twins`` has two sites, neither of which hears of the other.

A record is named by its parents, its author, the attempt, and a ``'`` for every life that the
author has lost: ``a0>b1'`` is what vendor ``b`` made under attempt 1, after a crash, on ``a0``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from strategies.protocol import quorum
from strategies.protocol.quorum import Accepted, Refusal, Votes
from strategies.protocol.records import Quorum, quorum_size
from tests.support.quorum.states import UNKNOWN, Site, State, Step
from tests.support.quorum.votes import Message, is_evident, lies, proofs


def silent_through(
    heard: Mapping[str, Votes], roster: Collection[str], decides: Quorum = "majority"
) -> int | None:
    """Return the last term in which a site that has lost its disk may have voted.

    ``heard`` is what others that are not forgetful have answered since; None says that they are
    too few.  Whoever has voted in term t knew that a majority had accepted the record of t - 1:
    one of them is among any majority, and either has moved on to t or still shows that record.
    """
    if not quorum.has_quorum(heard, roster, decides):
        return None
    return max(votes.term + (votes.accepted is not None) for votes in heard.values())


@dataclass(frozen=True)
class Rules:
    """What the sites go by; the defaults are the rules that are to be proved."""

    refusal: Callable[[Votes, int, str | None], Refusal | None] = quorum.refusal
    grant: Callable[[Votes, int], Votes] = quorum.grant
    accept: Callable[[Votes, int, str], Votes] = quorum.accept
    must_propose: Callable[[Iterable[Accepted | None]], Accepted | None] = quorum.must_propose
    has_quorum: Callable[[Collection[str], Collection[str], Quorum], bool] = quorum.has_quorum
    silent_through: Callable[[Mapping[str, Votes], Collection[str], Quorum], int | None] = (
        silent_through
    )
    none_committed: (
        Callable[[Mapping[str, Accepted | None], Collection[str], Quorum], bool] | None
    ) = None
    """Where sites refuse records that others accept, grants that show this oblige to nothing."""
    stores_grants: bool = True
    stores_proposals: bool = True
    knows_its_loss: bool = True
    knows_its_copy: bool = True
    counts_one_attempt: bool = True
    checks_proofs: bool = True
    keeps_proofs: bool = True


Done = tuple[Site, Message | None]


@dataclass(frozen=True)
class World:
    """The federation ``a``, ``b``, … and its rules; the succession rotates from term to term.

    Site ``size + n`` is the second one of site ``n``'s vendor, for the first ``twins`` vendors.
    """

    size: int
    rules: Rules = Rules()
    quorum: Quorum = "majority"
    liars: frozenset[int] = frozenset()
    twins: int = 0

    @property
    def roster(self) -> tuple[str, ...]:
        """The vendors."""
        return tuple("abcdefg"[: self.size])

    @property
    def sites(self) -> int:
        """How many sites the vendors have."""
        return self.size + self.twins

    @property
    def suspects(self) -> frozenset[int]:
        """The sites of the vendors that may sign what one honest site would not."""
        twins = {at for at in range(self.sites) if at % self.size < self.twins}
        return self.liars | twins

    def vendor(self, site: int) -> str:
        """Return whose site it is."""
        return self.roster[site % self.size]

    def ranking(self, term: int) -> tuple[str, ...]:
        """Return the succession for a term."""
        shift = (term - 1) % self.size
        return self.roster[shift:] + self.roster[:shift]

    def fresh(self, crashes: int = 0, losses: int = 0) -> State:
        """Return the state in which nothing has happened, and how many faults may."""
        return State((Site(Votes(1), Votes(1)),) * self.sites, crashes=crashes, losses=losses)

    def apply(self, state: State, step: Step) -> tuple[State, Message | None]:
        """Return the state after a step and what was sent; an impossible step changes nothing."""
        site, message = state.sites[step.site], None
        match step.kind:
            case "start":
                after, message = self._start(site, step)
            case "deliver":
                known = self._is_proven(state, step.messages[0])
                after, message = self._deliver(site, step) if known else (site, None)
            case "propose":
                votes = [each for each in step.messages if self._is_proven(state, each)]
                after, message = self._propose(site, step._replace(messages=tuple(votes)))
            case "lie":
                (message,) = step.messages
                after = site
            case "commit":
                after, message = self._commit(site, step)
            case "crash":
                after = _crashed(site)
            case "lose_disk":
                after = self._without_disk(site)
            case "restore":
                after = self._restored(site, step.copy or site)
            case "sync":
                after = self._synced(site, state.sites[step.peer], self.vendor(step.peer))
        if message is None and after is site:
            return state, None
        accepted = state.accepted
        if message and message.kind == "accepted":
            accepted |= {message}
        if step.dies:
            after, message = _crashed(after), None
        sites = (*state.sites[: step.site], after, *state.sites[step.site + 1 :])
        sent = state.sent if message is None or message in state.sent else state.sent | {message}
        if self.liars and message is not None:
            sent |= lies(message, sent, self.liars)
            accepted |= {each for each in sent - state.sent if each.kind == "accepted"}
        crashes = state.crashes - (step.dies or step.kind == "crash")
        losses = state.losses - (step.kind == "lose_disk")
        return State(sites, sent, accepted, crashes, losses), message

    def _start(self, site: Site, step: Step) -> Done:
        """Start a server, or start it anew: under the same attempt, if nobody was outvoted."""
        term, attempt = site.votes.term, step.attempt
        mine = quorum.owner(attempt, self.ranking(term)) == self.vendor(step.site)
        if not mine or self.rules.refusal(site.votes, attempt, None):
            return site, None
        return site._replace(running=attempt), Message("open", term, attempt) if attempt else None

    def _deliver(self, site: Site, step: Step) -> Done:
        (message,), votes = step.messages, site.votes
        kind, term, attempt, record = message[:4]
        if term < votes.term:
            known = Message("committed", term, record=site.ledger[term - 1])
            return site, None if kind == "committed" else known
        if term > votes.term:
            return site, None
        if kind == "committed":
            return _moved_on(site, (*site.ledger, record)), None
        if self.rules.refusal(votes, attempt, record or None):
            return site, None
        if kind == "open":
            votes = self.rules.grant(votes, attempt)
            disk = votes if self.rules.stores_grants else site.disk
            answer = Message("granted", term, attempt, site=step.site, told=votes.accepted)
            return site._replace(votes=votes, disk=disk), answer
        votes = self.rules.accept(votes, attempt, record)
        answer = Message("accepted", term, attempt, record, step.site)
        return site._replace(votes=votes, disk=votes), answer

    def _propose(self, site: Site, step: Step) -> Done:
        """Send the stored proposal of this attempt, or store one: as the grants oblige, or new."""
        if site.running is None:
            return site, None
        term, attempt = site.votes.term, site.running
        if record := dict(site.proposals).get(attempt):
            return site, Message("accept", term, attempt, record)
        grants = self.answers(site, step.messages)
        if attempt and not self._decide(grants):
            return site, None
        try:
            due = self.must_propose(grants)
        except quorum.TwoRecords:
            return site, None
        # Two sites of one vendor make two records.
        lives = site.lives_lost + 9 * (step.site >= self.size)
        own = f"{self.vendor(step.site)}{attempt}{chr(39) * lives}"
        record = due.record if due else ">".join((*site.ledger[-1:], own))
        proposals = (*site.proposals, (attempt, record))
        stored = proposals if self.rules.stores_proposals else site.stored
        message = Message("accept", term, attempt, record)
        return site._replace(proposals=proposals, stored=stored), message

    def _commit(self, site: Site, step: Step) -> Done:
        record = dict(site.proposals).get(-1 if site.running is None else site.running)
        if record is None or not self._decide(self.answers(site, step.messages)):
            return site, None
        ledger = (*site.ledger, record)
        return _moved_on(site, ledger), Message("committed", len(ledger), record=record)

    def must_propose(self, grants: Sequence[Message]) -> Accepted | None:
        """Return what grants oblige a server to propose; raises :class:`quorum.TwoRecords`."""
        told = {self.vendor(each.site): each.told for each in grants}
        frees = self.rules.none_committed
        if frees is not None and grants and frees(told, self.roster, self.quorum):
            return None
        return self.rules.must_propose(grant.told for grant in grants)

    def _decide(self, answers: Iterable[Message]) -> bool:
        return self.rules.has_quorum(
            [self.vendor(each.site) for each in answers], self.roster, self.quorum
        )

    def _without_disk(self, site: Site) -> Site:
        votes = Votes(1, forgetful=self.rules.knows_its_loss)
        silent = UNKNOWN if self.rules.knows_its_loss else 0
        return Site(votes, votes, lives_lost=site.lives_lost + 1, silent=silent)

    def _restored(self, site: Site, copy: Site) -> Site:
        """Put an earlier copy in the site's place; the number of lives lost only names records."""
        lives = site.lives_lost + 1
        if not self.rules.knows_its_copy:
            return _crashed(copy)._replace(lives_lost=lives)
        votes = Votes(len(copy.ledger) + 1, forgetful=True)
        return Site(votes, votes, ledger=copy.ledger, lives_lost=lives, silent=UNKNOWN)

    def _synced(self, site: Site, peer: Site, name: str) -> Site:
        """Take over a peer's ledger; after a loss of the disk, learn when it may vote again."""
        ledger = max(site.ledger, peer.ledger, key=len)
        if site.silent == UNKNOWN and not peer.votes.forgetful:
            heard = {**dict(site.heard), name: peer.votes}
            silent = self.rules.silent_through(heard, self.roster, self.quorum)
            site = site._replace(heard=tuple(sorted(heard.items())))
            if silent is not None:
                return _moved_on(site._replace(silent=silent, heard=()), ledger)
        return site if len(ledger) == len(site.ledger) else _moved_on(site, ledger)

    def answers(self, site: Site, messages: Iterable[Message]) -> list[Message]:
        """Return which messages are answers that the site's server waits for."""
        attempt, term = site.running, site.votes.term
        record = dict(site.proposals).get(-1 if attempt is None else attempt, "")
        kind, attempts = ("accepted" if record else "granted"), {attempt}
        if record and not self.rules.counts_one_attempt:
            attempts = {each.attempt for each in messages}
        return [
            each
            for each in messages
            if each.kind == kind
            and (each.term, each.record) == (term, record)
            and each.attempt in attempts
        ]

    def _is_proven(self, state: State, message: Message) -> bool:
        """Return whether a request to accept, or a record named in a vote, has grants for it."""
        asked = Accepted(message.attempt, message.record) if message.kind == "accept" else None
        named = asked or message.told
        if not self.suspects or not self.rules.checks_proofs or named is None:
            return True
        return any(True for _ in proofs(self, state.sent, message.term, named))

    def violation(self, state: State) -> str | None:
        """Return what must never be: a fork, a false or double record, a lost one."""
        chosen: dict[int, str] = {}
        for term, record in self._chosen(state):
            if chosen.setdefault(term, record) != record:
                if (
                    self.quorum == "majority"
                    and self.suspects
                    and is_evident(self, state.sent, term)
                ):
                    return None
                return f"term {term} has two outcomes, {chosen[term]} and {record}"
        chain = tuple(chosen.get(term + 1, "") for term in range(max(chosen, default=0)))
        if not all(chain[term].startswith(f"{chain[term - 1]}>") for term in range(1, len(chain))):
            return f"a record is counted twice, or out of order: {chain}"
        for at, site in enumerate(state.sites):
            if at not in self.liars and site.ledger and site.ledger != chain[: len(site.ledger)]:
                return f"{self.vendor(at)} holds {site.ledger}, committed is {chain}"
        able = [site for site in state.sites if not site.disk.forgetful] if chain else []
        if 2 * len(able) > self.size and not self.suspects:
            for term, record in chosen.items():
                if not _recoverable(term, record, able):
                    return f"{record}, committed in term {term}, is lost"
        return None

    def has_forked(self, state: State) -> bool:
        """Return whether a term has two outcomes."""
        chosen = self._chosen(state)
        return len({term for term, _ in chosen}) < len(chosen)

    def _chosen(self, state: State) -> tuple[tuple[int, str], ...]:
        return _chosen(state.accepted, self.size, quorum_size(self.size, self.quorum))


def _crashed(site: Site) -> Site:
    return site._replace(
        votes=site.disk, proposals=site.stored, running=None, lives_lost=site.lives_lost + 1
    )


def _moved_on(site: Site, ledger: tuple[str, ...]) -> Site:
    """Open the term after the ledger's last."""
    term = len(ledger) + 1
    votes = Votes(term, forgetful=term <= site.silent)
    return Site(votes, votes, (), (), ledger, None, site.lives_lost, site.silent, heard=site.heard)


def _recoverable(term: int, record: str, able: Sequence[Site]) -> bool:
    """Return whether any server that hears all these sites would learn or re-propose the record."""
    for site in able:
        if len(site.ledger) >= term:
            return True
    try:
        due = quorum.must_propose(site.disk.accepted for site in able if site.disk.term == term)
    except quorum.TwoRecords:
        return False
    return due is not None and due.record == record


@lru_cache(maxsize=100_000)
def _chosen(accepted: frozenset[Message], size: int, needed: int) -> tuple[tuple[int, str], ...]:
    """Return (term, record) for all that a quorum ever accepted under one attempt."""
    votes = {(each.term, each.attempt, each.record, each.site % size) for each in accepted}
    count = Counter(vote[:3] for vote in votes)
    return tuple(sorted({(key[0], key[2]) for key, n in count.items() if n >= needed}))
