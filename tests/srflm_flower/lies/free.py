"""The lies that a site may take: each with the reason, and with what the site does then."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from strategies.protocol import messages as wire
from strategies.protocol.yielding import YIELD
from strategies.secure_aggregation import messages as secure
from tests.srflm_flower.lies.barrage import Taken
from tests.srflm_flower.lies.rules import (
    Check,
    Scene,
    accepts,
    accepts_absences,
    accepts_own,
    accuses,
    as_honest,
    commits,
    commits_without_model,
    echoes,
    measures,
    notes_the_sum,
    nothing,
    orders,
    shares,
    trains,
    unmasks,
    yields,
)


@dataclass(frozen=True)
class Free:
    """Lies of some families in one place of one message, and what a site does for them."""

    where: str
    families: str
    why: str
    check: Check

    def has(self, taken: Taken) -> bool:
        """Return whether a lie is one of these."""
        lie, families = taken.lie, self.families.split("|")
        return fnmatchcase(lie.where, self.where) and any(
            fnmatchcase(lie.family, each) for each in families
        )


ANY = "*"
RECORD = f"{wire.ACCEPT} proposal.record"
PROOF = f"{wire.ACCEPT} proposal.proof.*.*"
CERTIFICATE = f"{wire.COMMIT} records.*.certificate"
NO_MODELS_READ = (wire.OPEN, wire.RECORDS, wire.VOTES, wire.ORDER, YIELD, *secure.KINDS)
MODELS_READ = (wire.TRAIN, wire.EVALUATE, wire.ACCEPT, wire.COMMIT, wire.MODEL)
OF_ANY_TERM = "a member's message, which holds whatever the term and attempt"
MEMORY = "of itself it may say what it likes; the memories of others are signed by them"
SILENT = "a server may say that a vendor was silent: nobody can sign a silence"
OWN = "the server's own word about itself, and signed as such"

FREE = (
    # Of another term a site only tells how far it is.
    Free(f"{wire.OPEN} envelope.term", ANY, "it promises nothing in it", nothing),
    Free(f"{wire.OPEN} order", "missing|nothing", "for a site that has missed it", as_honest),
    Free(f"{wire.OPEN} order.number", "one more", "any member may order a run", orders),
    *(Free(f"{kind} memory.*", ANY, MEMORY, as_honest) for kind in (wire.OPEN, wire.VOTES)),
    # ---- what travels beside the noun
    *(
        Free(f"{kind} models", ANY, "no model in it is looked at", as_honest)
        for kind in NO_MODELS_READ
    ),
    *(
        Free(f"{kind} models", "one model more", "nobody names it", as_honest)
        for kind in MODELS_READ
    ),
    *(
        Free(f"{kind} message", "one record more", "nobody reads it", as_honest)
        for kind in (*NO_MODELS_READ, *MODELS_READ, secure.MASKED)
    ),
    Free(f"{wire.VOTES} message", "of another type", "it has the same noun", nothing),
    # ---- members' messages
    *(
        Free(f"{kind} envelope.{field}", ANY, OF_ANY_TERM, as_honest)
        for kind in (wire.RECORDS, wire.MODEL, wire.VOTES, wire.ORDER, wire.COMMIT)
        for field in ("term", "attempt")
    ),
    Free(f"{wire.RECORDS} first", "one more|huge", "any record may be asked for", nothing),
    Free(f"{wire.MODEL} model", "a model: *", "it came with the message", echoes),
    Free(f"{wire.ORDER} order.number", "one more|one less", "the next number is free", orders),
    Free(f"{wire.ORDER} order.rounds", ANY, "any member may order any number", orders),
    Free(f"{YIELD} phase", "another choice", "its own word on why it yields", yields),
    Free(f"{YIELD} code", "a letter changed", "its own word on why it yields", yields),
    Free(f"{YIELD} envelope.attempt", ANY, "an attempt of its own", yields),
    # ---- work
    Free(f"{wire.TRAIN} model", "a model: of other values", "in a later round", trains),
    Free(f"{wire.TRAIN} round", "one more", "a client may have missed a round", trains),
    Free(f"{wire.EVALUATE} models", "emptied|values swapped", "names may be left out", measures),
    Free(f"{wire.EVALUATE} models.*", "a model: of other values", "its own models", measures),
    # ---- secure sums
    Free(f"{secure.KEYS} session", ANY, "a sum that is begun anew has new keys", notes_the_sum),
    Free(
        f"{secure.SHARES} keys",
        "first entry dropped|last entry dropped",
        "as if a client were lost",
        shares,
    ),
    Free(f"{secure.SHARES} keys", "reversed", "in any order", shares),
    Free(f"{secure.MASKED} shares", "a vendor dropped", "as if a client were lost", notes_the_sum),
    Free(f"{secure.CONFIRM} survivors", "reversed", "in any order", as_honest),
    Free(
        f"{secure.CONFIRM} survivors", "* entry dropped", "as if a client were lost", notes_the_sum
    ),
    Free(f"{secure.UNMASK} confirmations*", ANY, "of enough survivors", unmasks),
    # ---- a record
    Free(f"{PROOF[:-2]}", "an entry more|first entry twice|reversed", "enough grants", accepts()),
    Free(f"{PROOF}.accepted_attempt (own)", ANY, "its own vote, which names nothing", accepts()),
    Free(f"{RECORD}.ballots", "a vendor dropped", OWN, accepts_own),
    Free(f"{RECORD}.steps", "a vendor dropped", OWN, accepts_own),
    Free(f"{RECORD}.metrics", "a vendor dropped", OWN, accepts_own),
    Free(f"{RECORD}.ballots.* (own)", ANY, OWN, accepts_own),
    Free(f"{RECORD}.ballots.*.* (own)", ANY, OWN, accepts_own),
    Free(f"{RECORD}.steps.* (own)", ANY, OWN, accepts_own),
    Free(f"{RECORD}.metrics.* (own)", ANY, OWN, accepts_own),
    Free(f"{RECORD}.signed.* (own)", ANY, OWN, accepts_own),
    Free(f"{RECORD}.absences*", ANY, SILENT, accepts_absences),
    Free(
        f"{RECORD}.clients",
        "first entry dropped|last entry dropped",
        "as if it were lost",
        accepts("clients"),
    ),
    Free(f"{RECORD}.stale_server", ANY, "its own part in the average", accepts("stale_server")),
    Free(f"{RECORD}.averaged_model", ANY, "nobody looks it up", accepts("averaged_model")),
    Free(f"{RECORD}.cost*", ANY, "its own measurements; reports only", accepts("cost")),
    # ---- a commit: the signatures of a quorum prove the record, and only that one is stored
    Free(f"{wire.COMMIT} more", ANY, "no model is needed between two pages", commits_without_model),
    Free(f"{wire.COMMIT} records", "first entry twice", "the same record", as_honest),
    Free(f"{CERTIFICATE}.logs", "a vendor dropped", OWN, commits),
    Free(f"{CERTIFICATE}.logs.*.* (own)", ANY, OWN, commits),
    Free(f"{wire.COMMIT} evidence*", ANY, "against the liar itself, or not kept", accuses),
)


def broken(taken: Taken, scene: Scene, used: set[Free]) -> str:
    """Return why a site must not have taken a lie so, or an empty text; note the entries used."""
    status = taken.outcome.reply.status
    entries = [each for each in FREE if each.has(taken)]
    if status == "done" and taken.is_none:
        return "" if taken.as_honest else f"did more than for the honest message {taken.lie.kind}"
    if status != "done":
        return ""
    good = [each for each in entries if each.check(taken, scene)]
    used.update(good)
    if good:
        return ""
    changed = taken.outcome.differs(taken.before), taken.changed_beside()
    return f"took {taken.lie.kind}, and changed {changed}"
