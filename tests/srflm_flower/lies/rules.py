"""What a site may do for a lie that it does not refuse: what every rule is about."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from clients.training import Work
from strategies.errors import CODE
from strategies.phases import PHASES
from strategies.protocol import messages as wire
from strategies.protocol.equivocation import check_evidence
from strategies.protocol.evidence_nouns import Evidence
from strategies.protocol.records import Proposal, RunOrder, TermRecord
from strategies.term.agreed_work import rounds_of_next_term
from tests.srflm_flower.lies.barrage import NotingFederation, Taken
from tests.srflm_flower.lies.liar import Liar
from tests.support.quick_sites import kind_of


@dataclass(frozen=True)
class Scene:
    """The federation in which a liar has lied, and the record before the term of the lies."""

    sites: NotingFederation
    liar: Liar
    head: TermRecord

    @property
    def certified(self) -> set[str]:
        """The records (hashes) that a quorum has certified."""
        return {record.hash for record in self.sites.records(self.liar.site.vendor)}

    def is_agreed(self, done: tuple[object, ...], noun: wire.Request | None) -> bool:
        """Return whether a site that is asked by ``noun`` may do this work."""
        if done[1:] == ("evaluate", "validation"):
            return True
        plan = self.liar.site.federation.term_plan()
        rounds = rounds_of_next_term(self.head, plan)
        if not isinstance(noun, wire.Train) or noun.round not in rounds:
            return False
        # Only the term's server knows from which model a later round starts.
        start = self.head.model if noun.round == rounds[0] else noun.model
        work = Work(plan.learning_rate_in(noun.round), plan.client_epochs)
        return done == (self.liar.victim, "client", noun.round, start, work)


def never(taken: Taken, scene: Scene) -> str:
    """Return what a site does that it must not do, whatever it is told; or an empty text."""
    outcome, changed = taken.outcome, taken.outcome.differs(taken.before)
    if not all(scene.is_agreed(done, taken.noun) for done in outcome.done):
        return f"did {outcome.done}"
    if {row[1] for row in outcome.content["records"]} - scene.certified:
        return "stored a record that no majority has certified"
    if "proposals" in changed:
        return "proposed a record"
    if outcome.reply.status == "done":
        return ""
    # A failure binds the site to nothing but a promise of the liar's own attempt; and it notes, as
    # evidence, what the liar has signed.
    noted = {"said"} if kind_of(taken.lie.message) == wire.ACCEPT else set()
    if changed - noted - {"meta", "votes"} or outcome.done:
        return f"refused, and did it all the same: {changed}"
    if _accepted(outcome.content) - _accepted(taken.before):
        return "refused, and accepted all the same"
    return ""


def _accepted(content: dict[str, list[tuple[object, ...]]]) -> set[tuple[object, ...]]:
    return {row[2:] for row in content["votes"] if row[2:] != (None, None)}


# ---- what it may do where it is free -------------------------------------------------------------

Check = Callable[[Taken, Scene], bool]


def nothing(taken: Taken, scene: Scene) -> bool:
    """The site only answers."""
    return not taken.outcome.differs(taken.before) and not taken.outcome.done


def as_honest(taken: Taken, scene: Scene) -> bool:
    """The site does what it does for the honest message, and nothing else."""
    return taken.as_honest


def echoes(taken: Taken, scene: Scene) -> bool:
    """The site only sends back what has come with the message."""
    came = wire.models_in(taken.lie.message.content)
    return nothing(taken, scene) and {*wire.models_in(taken.outcome.answer.content)} <= {*came}


def orders(taken: Taken, scene: Scene) -> bool:
    """The site follows exactly the run order in the message, which the liar has signed."""
    rows = [row for row in taken.outcome.content["orders"] if row not in taken.before["orders"]]
    new = [RunOrder.model_validate_json(plain) for _, plain in rows]
    told = [getattr(taken.noun, "order", None)]
    own = all(order.vendor == scene.liar.site.vendor for order in new)
    return own and new in ([], told) and taken.changed_beside() <= {"orders"}


def yields(taken: Taken, scene: Scene) -> bool:
    """The site notes that the liar yields, and promises nothing."""
    rows = [row for row in taken.outcome.content["yielded"] if row not in taken.before["yielded"]]
    by_liar = all(row[1] == scene.liar.site.vendor for row in rows)
    return by_liar and taken.outcome.differs(taken.before) <= {"yielded"}


def measures(taken: Taken, scene: Scene) -> bool:
    """The site measures models that it was sent, and keeps what it has answered."""
    changed = taken.outcome.differs(taken.before)
    names = {*getattr(taken.noun, "models", {}), "personalised"}
    return changed <= {"files", "models"} and {*taken.outcome.reply.metrics} <= names


def trains(taken: Taken, scene: Scene) -> bool:
    """The site trains once, and keeps that."""
    trained = [done for done in taken.outcome.done if done[1] == "client"]
    return len(trained) == 1 and taken.outcome.differs(taken.before) <= {"files"}


def accepts(*fields: str) -> Check:
    """Return a check: the site accepts a record that differs in these fields only."""

    def check(taken: Taken, scene: Scene) -> bool:
        lying, honest = _record_in(taken.noun), wire.unpack(taken.honest, wire.Accept)
        names = _differing(lying, honest.proposal.record)
        return names <= {*fields} and _accepts(taken, lying)

    return check


def accepts_absences(taken: Taken, scene: Scene) -> bool:
    """The site accepts a record with other absences, none of which has a text in it."""
    told = _record_in(taken.noun).absences
    plain = all(each.phase in PHASES and re.fullmatch(CODE, each.code) for each in told)
    return plain and accepts("absences", "ranking", "ended")(taken, scene)


def accepts_own(taken: Taken, scene: Scene) -> bool:
    """The site accepts a record that differs in what its server says of itself."""
    lying, honest = _record_in(taken.noun), wire.unpack(taken.honest, wire.Accept)
    vendor = scene.liar.site.vendor
    rest = (_without(each, vendor) for each in (lying, honest.proposal.record))
    return not _differing(*rest) and _accepts(taken, lying)


def _record_in(noun: wire.Request | None) -> TermRecord:
    assert isinstance(noun, wire.Accept)
    return noun.proposal.record


def _accepts(taken: Taken, record: TermRecord) -> bool:
    accepted = _accepted(taken.outcome.content) - _accepted(taken.before)
    same = [Proposal.model_validate_json(str(plain)).record == record for *_, plain in accepted]
    return same == [True] and taken.changed_beside() <= {"votes", "said"}


def _differing(one: TermRecord, other: TermRecord) -> set[str]:
    return {name for name in TermRecord.model_fields if getattr(one, name) != getattr(other, name)}


def _without(record: TermRecord, vendor: str) -> TermRecord:
    """Return a record without all that a vendor says of itself, and without what follows from it.

    The election follows from the ballots; each site computes it anew.
    """
    named = "ballots", "steps", "metrics", "signed"
    rest = {
        name: {k: v for k, v in (getattr(record, name) or {}).items() if k != vendor}
        for name in named
    }
    absences = tuple(each for each in record.absences if each.vendor != vendor)
    return record.model_copy(update={**rest, "absences": absences, "ranking": ()})


def commits(taken: Taken, scene: Scene) -> bool:
    """The site stores the certified record, perhaps with other signatures of enough vendors."""
    new = {row[1] for row in taken.outcome.content["records"]}
    expected = {row[1] for row in taken.expected.content["records"]}
    return new == expected and taken.changed_beside() <= {"records", "said"}


def commits_without_model(taken: Taken, scene: Scene) -> bool:
    """The site stores the certified record, and no model."""
    rows = "records", "votes", "said", "meta"
    same = taken.outcome.content["records"] == taken.expected.content["records"]
    return same and taken.outcome.differs(taken.before) <= {*rows}


def accuses(taken: Taken, scene: Scene) -> bool:
    """The site stores the certified record, and evidence that the liar itself has signed."""
    site = scene.liar.site
    for *_, plain in taken.outcome.content["evidence"]:
        evidence = Evidence.model_validate_json(plain)
        check_evidence(evidence, site.keys)
        if evidence.vendor != site.vendor:
            return False
    return taken.changed_beside() <= {"evidence"}


def shares(taken: Taken, scene: Scene) -> bool:
    """The site splits its secrets among the clients that are listed."""
    listed = {card.vendor for card in getattr(taken.noun, "keys", ())}
    told = {*taken.outcome.reply.shares}
    return told == listed and taken.outcome.differs(taken.before) <= {"files"}


def unmasks(taken: Taken, scene: Scene) -> bool:
    """The site sends the shares that it sends to an honest server."""
    same = taken.outcome.reply.shares == taken.expected.reply.shares
    return same and taken.as_honest


def notes_the_sum(taken: Taken, scene: Scene) -> bool:
    """The site keeps notes of the sum, and does no work."""
    return taken.outcome.differs(taken.before) <= {"files"} and not taken.outcome.done
