"""Random schedules of a :class:`World` in which some vendors lie."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from strategies.protocol import quorum
from strategies.protocol.records import Quorum, liars_withstood
from tests.support.quorum.search import Found, Walk, shortened
from tests.support.quorum.states import Step
from tests.support.quorum.votes import false_proposals, slandered
from tests.support.quorum.world import Rules, World


def try_liars(
    rules: Rules,
    count: int,
    random: Random,
    decides: Quorum,
    length: int = 60,
    twice: bool = False,
) -> Found:
    """Try random schedules of 3 to 7 vendors of which f, at least one, lie, or run ``twice``.

    Liars can stop a term for good, so none of the schedules has to be finished.
    """
    forked = 0
    for number in range(count):
        size = random.randrange(4 if decides == "byzantine" else 3, 8)
        most = max(liars_withstood(size, "byzantine"), 1)
        lying = frozenset(random.sample(range(size), most))
        world = (
            World(size, rules, decides, twins=most) if twice else World(size, rules, decides, lying)
        )
        walk = LyingWalk(world, random, random.choice((0, 0.03, 0.1)), 0.2)
        if broken := walk.wander(length):
            return Found(number, broken, shortened(world, walk.trace))
        if broken := slandered(world, walk.state.sent):
            return Found(number, broken, tuple(walk.trace))
        forked += world.has_forked(walk.state)
    return Found(count, forked=forked)


class LyingWalk(Walk):
    """A random schedule in which liars lie as servers as often as they serve."""

    def wander(self, length: int) -> str | None:
        """Take random steps until something is broken, or there is a fork with evidence."""
        for _ in range(length):
            if broken := super().wander(1):
                return broken
            if self.world.has_forked(self.state):
                return None
        return None

    def _work(self, at: int) -> Iterator[Step]:
        if at in self.world.liars and self.random.random() < 0.5:
            yield self._lie(at)
        else:
            yield from super()._work(at)

    def _lie(self, at: int) -> Step:
        """Send any record as the server of an attempt of one's own, low or new."""
        sites = enumerate(self.state.sites)
        honest = self.random.choice([each for n, each in sites if n not in self.world.liars])
        term, lowest = honest.votes.term, self.random.choice((0, max(honest.votes.granted, 0)))
        attempt = quorum.own_attempt(self.world.roster[at], self.world.ranking(term), lowest)
        told = false_proposals(self.world, at, term, attempt, honest.ledger, self.state.sent)
        return Step("lie", at, (self.random.choice(told),))
