"""Two ways through a :class:`World`: every schedule within small bounds, or many at random.

Both check after every step that nothing is broken, and return the shortest way found to what is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random

from strategies.protocol import quorum
from tests.support.quorum.states import UNKNOWN, Site, State, Step
from tests.support.quorum.votes import Message, false_proposals
from tests.support.quorum.world import Rules, World

NAMES = "abcdefghijklmn"
"""Of the sites in a trace; those after the last vendor's are second sites of the first vendors."""


@dataclass(frozen=True)
class Found:
    """What was broken, if anything, how, and how many states or schedules were tried.

    ``waited`` counts the schedules at whose end too few could vote, so that none made progress;
    ``forked`` those with a fork of which there is evidence.
    """

    tried: int
    broken: str | None = None
    trace: tuple[Step, ...] = ()
    waited: int = 0
    forked: int = 0

    def __str__(self) -> str:
        steps = "\n".join(
            f"  {number:2}. {each}" for number, each in enumerate(told(self.trace), 1)
        )
        return f"{self.broken or 'nothing is broken'} ({self.tried} tried)\n{steps}"


def explore(world: World, attempts: int, crashes: int = 0, losses: int = 0) -> Found:
    """Try every schedule of one term, breadth first, with few attempts and faults."""
    state = world.fresh(crashes, losses)
    came: dict[State, tuple[State, Step] | None] = {state: None}
    frontier = [state]
    while frontier:
        reached = []
        for state in frontier:
            for step in _possible_steps(world, state, attempts):
                after, message = world.apply(state, step)
                if after is state:
                    continue
                if world.suspects:
                    pass  # every grant may still prove something
                elif step.kind == "lose_disk" or (
                    message and message.kind in ("granted", "accept")
                ):
                    after = _without_spent_grants(after)
                if after in came:
                    continue
                came[after] = state, step
                if broken := world.violation(after):
                    return Found(len(came), broken, _trace(came, after))
                reached.append(after)
        frontier = reached
    return Found(len(came))


def _possible_steps(world: World, state: State, attempts: int) -> Iterator[Step]:
    requests = sorted((each for each in state.sent if each.site < 0), key=lambda each: each[:4])
    fates = (False, True) if state.crashes else (False,)
    for at, site in enumerate(state.sites):
        if site.ledger:
            continue
        if at in world.liars:
            for attempt in range(at, attempts, world.size):
                told = false_proposals(world, at, 1, attempt, (), state.sent)
                yield from (Step("lie", at, (each,)) for each in told if each not in state.sent)
            continue
        at_least = 0 if site.running is None else site.running + 1
        first = quorum.own_attempt(world.vendor(at), world.ranking(1), at_least)
        for attempt in range(first, attempts, world.size):
            yield Step("start", at, attempt=attempt)
        for dies in fates:
            yield from (Step("deliver", at, (request,), dies=dies) for request in requests)
            yield from (
                Step("propose", at, grants, dies=dies) for grants in _grants(world, state, at)
            )
        if any(attempt == site.running for attempt, _ in site.proposals):
            yield Step("commit", at, tuple(sorted(world.answers(site, state.sent))))
        if state.crashes and (site.running is not None or site.votes != site.disk):
            yield Step("crash", at)
        if state.losses and (site.votes.granted >= 0 or site.proposals):
            yield Step("lose_disk", at)


def _grants(world: World, state: State, at: int) -> Iterator[tuple[Message, ...]]:
    """Yield the grants with which a server may propose; none are needed to propose again."""
    site = state.sites[at]
    if site.running is None:
        return
    if not site.running or dict(site.proposals).get(site.running):
        yield ()
        return
    grants = sorted(world.answers(site, state.sent), key=lambda each: (each.site, str(each.told)))
    for size in range(1, world.size + 1):
        for some in combinations(grants, size):
            if len({each.site for each in some}) == size:
                yield some


def _without_spent_grants(state: State) -> State:
    """Leave out grants that nobody will read, so that states which differ by them are one."""
    if state.losses:
        return state
    done = {(site.votes.term, attempt) for site in state.sites for attempt, _ in site.stored}
    spent = {
        each for each in state.sent if each.kind == "granted" and (each.term, each.attempt) in done
    }
    return state._replace(sent=state.sent - spent) if spent else state


def _trace(came: dict[State, tuple[State, Step] | None], state: State) -> tuple[Step, ...]:
    steps = []
    while before := came[state]:
        state, step = before
        steps.append(step)
    return tuple(reversed(steps))


def try_schedules(rules: Rules, count: int, random: Random, length: int = 120) -> Found:
    """Try random schedules of 3 to 7 sites and up to 3 terms, with few faults or many.

    At the end of each the faults stop, and one server must be able to commit.
    """
    worlds, waited = [World(size, rules) for size in range(3, 8)], 0
    for number in range(count):
        world = random.choice(worlds)
        walk = Walk(world, random, random.choice((0, 0.03, 0.1)), random.choice((0.05, 0.2)))
        if broken := walk.wander(length) or walk.finish():
            return Found(number, broken, shortened(world, walk.trace), waited)
        waited += walk.waits
    return Found(count, waited=waited)


@dataclass
class Walk:
    """A random schedule: what has been sent and not been lost, who is cut off from whom.

    ``faults`` is the share of steps that are faults, ``haste`` how readily a server starts.
    """

    world: World
    random: Random
    faults: float
    haste: float
    terms: int = 3

    def __post_init__(self) -> None:
        self.state = self.world.fresh()
        self.trace: list[Step] = []
        self.requests: list[tuple[int, Message]] = []
        self.answers: list[Message] = []
        self.side = [0] * self.world.sites
        self.waits = False
        self.copies = list(enumerate(self.state.sites))

    def take(self, step: Step) -> str | None:
        """Let a step happen; return what it breaks."""
        before = self.state
        self.state, message = self.world.apply(before, step)
        if message is not None and message.site >= 0:
            self.answers.append(message)
        elif message is not None:
            self.requests.append((step.site, message))
        if self.state is before:
            return None
        self.trace.append(step)
        return self.world.violation(self.state)

    def wander(self, length: int) -> str | None:
        """Take random steps until something is broken."""
        for _ in range(length):
            at = self.random.randrange(self.world.sites)
            faulty = self.random.random() < self.faults
            for step in self._fault(at) if faulty else self._work(at):
                if broken := self.take(step):
                    return broken
        return None

    def _fault(self, at: int) -> Iterator[Step]:
        match self.random.randrange(8):
            case 0 | 1 | 2:
                yield Step("crash", at)
            case 3:
                yield self._loss(at)
            case 4 | 5:
                self.side = [self.random.randrange(2) for _ in self.side]
            case 6:
                self.side = [0] * self.world.sites
            case _:
                self.requests = self.random.sample(self.requests, len(self.requests) // 2)
                self.answers = self.random.sample(self.answers, len(self.answers) // 2)

    def _loss(self, at: int) -> Step:
        """Lose the disk, put a copy back, or make the copy that is put back later."""
        mine = [copy for site, copy in self.copies if site == at]
        self.copies.append((at, self.state.sites[at]))
        if self.random.random() < 0.5:
            return Step("lose_disk", at)
        return Step("restore", at, copy=self.random.choice(mine))

    def _work(self, at: int) -> Iterator[Step]:
        site, dice = self.state.sites[at], self.random.random()
        dies = self.random.random() < self.faults / 4
        if dice < 0.5 and self.requests:
            yield from self._arrivals(at, dies)
        elif dice < 0.9 and site.running is not None:
            yield self._serve(at, site, dies)
        elif site.votes.term <= self.terms and self.random.random() < self.haste:
            yield Step("start", at, attempt=self._next_attempt(at, site))
        elif dice > 0.97 or site.silent == UNKNOWN:
            peer = self.random.randrange(self.world.sites)
            if peer != at and self.side[peer] == self.side[at]:
                yield Step("sync", at, peer=peer)

    def _arrivals(self, at: int, dies: bool) -> Iterator[Step]:
        """Let a request arrive, new or old: at one site, or at all that it can reach."""
        newest = self.random.choice((1, 1, 3, len(self.requests)))
        sender, request = self.random.choice(self.requests[-newest:])
        reach = [site for site, side in enumerate(self.side) if side == self.side[sender]]
        if at in reach:
            yield Step("deliver", at, (request,), dies=dies)
        if self.random.random() < 0.2:
            yield from (Step("deliver", site, (request,)) for site in reach)

    def _serve(self, at: int, site: Site, dies: bool) -> Step:
        """Propose or commit with some of the answers that are there; or propose again."""
        near = [each for each in self.answers if self.side[each.site] == self.side[at]]
        # Liars answer everybody, at once.
        near += [each for each in self.state.sent if each.site in self.world.liars]
        heard = self.world.answers(site, near)
        least = min(len(heard), self.world.size // 2)
        some = tuple(self.random.sample(heard, self.random.randint(least, len(heard))))
        done = dict(site.proposals).get(-1 if site.running is None else site.running)
        kind = "commit" if done and self.random.random() < 0.8 else "propose"
        return Step("commit" if kind == "commit" else "propose", at, some, dies=dies)

    def _next_attempt(self, at: int, site: Site) -> int:
        # Others may have tried for long while this site was away.
        at_least = max(site.votes.granted, 0) + self.random.choice((0,) * 19 + (10**6,))
        if site.running is not None:
            at_least = max(at_least, site.running) + 1
        ranking = self.world.ranking(site.votes.term)
        return quorum.own_attempt(self.world.vendor(at), ranking, at_least)

    def finish(self) -> str | None:
        """Let all faults end and one server try; return what is broken, or that it got stuck.

        Where those that may vote are no majority, it is right that the term ``waits``.
        """
        everyone = range(self.world.size)
        for at, peer in [(at, peer) for at in everyone for peer in everyone if at != peer] * 2:
            if broken := self.take(Step("sync", at, peer=peer)):
                return broken
        able = [at for at in everyone if not self.state.sites[at].votes.forgetful]
        self.waits = 2 * len(able) <= self.world.size
        if self.waits:
            return None
        at, before = self.random.choice(able), len(self.state.sites[0].ledger)
        fresh = max(max(site.votes.granted, site.running or 0) for site in self.state.sites) + 1
        ranking = self.world.ranking(before + 1)
        attempt = quorum.own_attempt(self.world.vendor(at), ranking, fresh)
        for step in self._run_server(at, attempt):
            if broken := self.take(step):
                return broken
        ledgers = {site.ledger for site in self.state.sites}
        return None if {len(each) for each in ledgers} == {before + 1} else f"stuck: {ledgers}"

    def _run_server(self, at: int, attempt: int) -> Iterator[Step]:
        """Yield the steps of a server whom all obey, from its start to its end."""
        yield Step("start", at, attempt=attempt)
        for kind in ("propose", "commit"):
            for site in range(self.world.size):
                yield Step("deliver", site, (self.requests[-1][1],))
            heard = self.world.answers(self.state.sites[at], self.answers)
            yield Step("commit" if kind == "commit" else "propose", at, tuple(heard))
        for site in range(self.world.size):
            yield Step("deliver", site, (self.requests[-1][1],))


def shortened(world: World, trace: Sequence[Step]) -> tuple[Step, ...]:
    """Return a trace that still breaks something, and of which no step can be left out.

    One that only gets stuck is returned as it is.
    """
    short = list(trace)
    for number in reversed(range(len(short))):
        fewer = short[:number] + short[number + 1 :]
        if replay(world, fewer):
            short = fewer
    return tuple(short) if len(short) == len(trace) else shortened(world, short)


def replay(world: World, trace: Sequence[Step]) -> str | None:
    """Return what a trace breaks; what was never sent does not arrive."""
    state = world.fresh()
    for step in trace:
        if state.sent.issuperset(step.messages):
            state, _ = world.apply(state, step)
            if broken := world.violation(state):
                return broken
    return None


def told(trace: Sequence[Step]) -> Iterator[str]:
    """Yield what happens, a line a step."""
    for step in trace:
        who = NAMES[step.site]
        what = ", ".join(
            f"{each.kind}({each.term}, {each.attempt}, {each.record or each.told})"
            + (f" of {NAMES[each.site]}" if each.site >= 0 else "")
            for each in step.messages
        )
        extra = f" attempt {step.attempt}" if step.kind == "start" else ""
        extra += f" with {NAMES[step.peer]}" if step.peer >= 0 else ""
        yield f"{who}: {step.kind}{extra} {what}{' and dies' if step.dies else ''}"
