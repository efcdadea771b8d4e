"""Three sites in memory, in the middle of a term, for messages that one of them must refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from strategies.errors import SrflmError
from strategies.protocol import messages as wire
from strategies.protocol.records import Certificate, Committed, Noun, TermRecord
from strategies.protocol.signatures import acceptance_statement, sign_proposal
from strategies.term.conversation import request
from strategies.weights import Model
from tests.support.deployed import pass_on
from tests.support.quick_sites import QuickFederation, content_of, keep_accepts, quick_federation


@dataclass(frozen=True)
class Stage:
    """Term 1 is committed; at term 2 ``first`` and ``second`` have asked to accept; none came."""

    sites: QuickFederation
    first: wire.Accept
    second: wire.Accept
    model: Model
    site: str
    """The vendor whose site is tried: it serves neither attempt, and has granted attempt 1."""

    @property
    def record(self) -> TermRecord:
        return self.second.proposal.record

    def signed(self, by: str, **changes: object) -> wire.Accept:
        """Return ``second`` with a changed record, signed by a vendor."""
        record = self.record.model_copy(update=changes)
        proposal = sign_proposal(record, self.sites.site(by).keys)
        proposal = proposal.model_copy(update={"proof": self.second.proposal.proof})
        return self.second.model_copy(update={"proposal": proposal})

    def committed(self, record: TermRecord, *by: str, attempt: int = 1, **changes: object) -> Noun:
        """Return a commit of ``record``, accepted by these vendors under ``attempt``."""
        acceptances = {
            vendor: self.sites.site(vendor).keys.sign(acceptance_statement(vendor, record, 1))
            for vendor in by
        }
        proposal = sign_proposal(record, self.sites.site(record.server).keys).signature
        certificate = Certificate(attempt=attempt, proposal=proposal, acceptances=acceptances)
        certificate = certificate.model_copy(update=changes)
        return self.commit(Committed(record=record, certificate=certificate))

    def commit(self, *records: Committed) -> Noun:
        return wire.Commit(envelope=self.second.envelope, records=records)


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Run real sites in memory to the point that :class:`Stage` describes."""
    with quick_federation(folder, ("a", "b", "c")) as sites:
        sites.clear()
        sites.order("b", rounds=9)
        sites.run_to(1)
        asked: list[wire.Accept] = []
        sites.fault = keep_accepts(asked)
        first, second, site = sites.records("a")[0].ranking
        sites.perform(first, attempt=0)
        sites.perform(second, attempt=1)
        sites.fault = pass_on
        name = asked[-1].proposal.record.model
        model = sites.site(second).models.get(name)
        yield Stage(sites, asked[0], asked[-1], model, site)


@contextmanager
def refused(stage: Stage, sender: str, code: str) -> Iterator[None]:
    """Check that what is done inside is refused with ``code``, and changes nothing at the site."""
    site = stage.sites.site(stage.site)
    before = content_of(site)
    with site.state.ledger.reading() as db:
        (last,) = db.execute("SELECT COALESCE(MAX(rowid), 0) FROM said").fetchone()
    with pytest.raises(SrflmError) as caught:
        yield
    assert caught.value.code == code, caught.value
    # That the server has signed something false is noted; then the next lie is tried alone.
    with site.state.ledger.deciding() as db:
        db.execute("DELETE FROM said WHERE rowid > ?", (last,))
        db.execute("DELETE FROM evidence")
    assert content_of(site) == before
    path = site.settings.state / "audit.jsonl"
    last = json.loads(path.read_text().splitlines()[-1])
    assert (last["vendor"], last["outcome"]) == (sender, code)
    assert site.audit.check() > 0


def ask(stage: Stage, noun: Noun, kind: str, sender: str, *models: Model) -> wire.Reply:
    message = request(noun, kind, 1, models or [stage.model])
    reply = stage.sites.site(stage.site).answer(message, sender)
    return wire.Reply.model_validate_json(str(reply.config_records["noun"]["json"]))
