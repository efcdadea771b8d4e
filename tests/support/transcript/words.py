"""The words of a transcript: for messages, answers, records, and what a site has promised.

Records, models, and editions get short names in the order in which they appear, because a hash
covers seconds and signatures, which differ from run to run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from flwr.app import Message

from deploy.operating.status import why_silent
from deploy.serving.job import JobOutcome
from srflm_flower.site.ledger import TermLedger
from strategies.election import score
from strategies.protocol import messages as wire
from strategies.protocol.quorum import NONE_SEEN
from strategies.protocol.records import Ballot, Committed, TermRecord

REQUESTS: dict[str, tuple[str, type[wire.Request]]] = {
    wire.OPEN: ("open", wire.OpenAttempt),
    wire.TRAIN: ("train", wire.Train),
    wire.RECALL: ("recall", wire.RecallUpdate),
    wire.FINETUNE: ("fine-tune", wire.Train),
    wire.EVALUATE: ("evaluate", wire.EvaluateModels),
    wire.ACCEPT: ("accept", wire.Accept),
    wire.COMMIT: ("commit", wire.Commit),
    wire.RECORDS: ("records", wire.FetchRecords),
    wire.MODEL: ("model", wire.FetchModel),
    wire.VOTES: ("votes", wire.TellVotes),
    wire.ORDER: ("order", wire.OrderRun),
}
"""Message type → its word in a command, and what it carries."""

ERROR = re.compile(
    r"\[(?P<code>SRFLM-\w+)\] found: (?P<found>.*); expected: (?P<wanted>.*); to mend it: "
)


def listed(names: Iterable[str]) -> str:
    """Return names as commands have them."""
    return " ".join(names)


def word_of(message: Message) -> str:
    """Return the word for a message's type."""
    return REQUESTS[str(message.metadata.message_type)][0]


def request_in(message: Message) -> wire.Request:
    """Return what a message asks."""
    return wire.unpack(message, REQUESTS[str(message.metadata.message_type)][1])


def why(text: str) -> str:
    """Return an error's code and, below it, what was found and expected, without the advice.

    Of an error that is none of the project's own, only its last line is returned.
    """
    error = ERROR.search(text)
    if error is None:
        return text.splitlines()[-1]
    return f"{error['code']}\n  found {error['found']}\n  expected {error['wanted']}"


class Words:
    """Puts messages, answers, and states into words, with the short names of one transcript.

    ``genesis`` is the hash of the first edition, ``initial`` that of the model with which the
    federation begins, and ``loss_weight`` the election's λ.
    """

    def __init__(self, genesis: str, initial: str, loss_weight: float) -> None:
        self._genesis, self._loss_weight = genesis, loss_weight
        self._records: dict[str, str] = {}
        self._models, self._editions = {initial: "m0"}, {genesis: "edition 1"}

    def record(self, name: str) -> str:
        """Return the short name of the record with this hash."""
        return self._records.setdefault(name, f"r{len(self._records) + 1}")

    def model(self, name: str) -> str:
        """Return the short name of the model with this hash; the initial one is m0."""
        return self._models.setdefault(name, f"m{len(self._models)}")

    def edition(self, name: str) -> str:
        """Return the short name of the edition with this hash."""
        return self._editions.setdefault(name, f"edition {len(self._editions) + 1}")

    # ---- what a server asks ------------------------------------------------------------------

    def asked(self, message: Message) -> str:
        """Return what a server asks, with ``{}`` where the sites that it asks are to be named."""
        models = ", with the weights" if wire.has_models(message) else ""
        request = request_in(message)
        records = request.records if isinstance(request, wire.Commit) else ()
        certificates = [f"\n  {self._certified(each)}" for each in records]
        return "".join((self._asked(request, word_of(message)), models, *certificates))

    def _asked(self, request: wire.Request, word: str) -> str:
        term, attempt = request.envelope.term, request.envelope.attempt
        match request:
            case wire.OpenAttempt(parent=parent):
                what = f"to grant attempt {attempt}" if attempt else "to take part"
                return f"opens term {term} on top of {self._on(parent)} and asks {{}} {what}"
            case wire.Train(model=model):
                return f"asks {{}} to {word} {self.model(model)}"
            case wire.RecallUpdate():
                return "asks {} for its last update as a client"
            case wire.EvaluateModels(models=models):
                return f"asks {{}} to evaluate {listed(map(self.model, models.values()))}"
            case wire.Accept(proposal=proposal):
                grants = proposal.proof[0] if proposal.proof else ()
                shown = f", granted by {listed(each.vendor for each in grants)}" if grants else ""
                record = self.record(proposal.record.hash)
                return f"asks {{}} to accept {record} under attempt {attempt}{shown}"
            case wire.Commit(records=records):
                names = listed(self.record(each.record.hash) for each in records)
                return f"tells {{}} to commit {names}"
            case wire.FetchRecords(first=first):
                return f"asks {{}} for the records from term {first} on"
            case wire.FetchModel(model=model):
                return f"asks {{}} for {self.model(model)}"
            case wire.OrderRun(order=order):
                return f"asks {{}} to follow its order of {order.rounds} rounds"
        return "asks {} which term is open there"

    def _on(self, parent: str) -> str:
        return "genesis" if parent == self._genesis else self.record(parent)

    def _certified(self, committed: Committed) -> str:
        name, certificate = self.record(committed.record.hash), committed.certificate
        by = listed(certificate.acceptances)
        return f"{name} was accepted by {by} under attempt {certificate.attempt}"

    def said_by(self, record: TermRecord) -> list[str]:
        """Return what a record says, line by line."""
        scores = score(record.ballots, self._loss_weight)
        lines = [
            f"term {record.term} on top of {self._on(record.parent)}: server {record.server},"
            f" clients {listed(record.clients)}, new model {self.model(record.model)}",
            *(f"{v}: {_ballot(b)}, score {scores[v]:.3f}" for v, b in record.ballots.items()),
            f"succession of term {record.term + 1}: {listed(record.ranking)}",
        ]
        change = record.roster_change
        if change is not None:
            edition, by = self.edition(change.edition.federation), listed(change.approvals)
            lines.append(f"{edition} decides from term {record.term + 1} on (approved by {by})")
        return lines

    # ---- what a site answers -----------------------------------------------------------------

    def answered(self, message: Message, reply: wire.Reply, reason: str, has_trained: bool) -> str:
        """Return a site's answer to ``message``.

        ``reason`` is what the site's own log says of a refusal; ``has_trained`` tells whether it
        has trained just now.
        """
        if reply.status == "failed":
            return f"refusal {why(reason)}"
        if reply.status == "needs-models":
            return f"no weights of {listed(map(self.model, reply.needs))} here"
        match request_in(message):
            case wire.OpenAttempt(envelope=envelope):
                return self._opened(envelope.term, reply)
            case wire.Train() | wire.RecallUpdate():
                return self._update(reply, has_trained)
            case wire.EvaluateModels():
                return "metrics"
            case wire.Accept(envelope=envelope, proposal=proposal):
                record = self.record(proposal.record.hash)
                return f"acceptance of {record} under attempt {envelope.attempt}"
            case wire.Commit():
                return f"ledger ends with term {reply.head_term}"
            case wire.FetchRecords():
                return listed(self.record(each.record.hash) for each in reply.records)
            case wire.FetchModel(model=model):
                return self.model(model)
        return "order is followed" if reply.votes is None else _told(reply.votes)

    def _opened(self, term: int, reply: wire.Reply) -> str:
        head, grant = reply.head_term, reply.grant
        if head != term - 1:
            return f"ledger ends with term {head} {'already' if head >= term else 'only'}"
        answer = "ready"
        if grant is not None:
            before, at = grant.accepted, grant.accepted_attempt
            known = f"{self.record(before)} accepted under attempt {at}" if before else ""
            answer = f"grant of attempt {grant.attempt}, {known or 'no record accepted'}"
        if reply.approval is not None:
            answer += f", approval of {self.edition(reply.approval.edition.federation)}"
        return answer

    def _update(self, reply: wire.Reply, has_trained: bool) -> str:
        if not reply.update:
            return "no update"
        ballot = f" ({_ballot(reply.ballot)})" if reply.ballot else ""
        return f"{self.model(reply.update)}, trained {'now' if has_trained else 'before'}{ballot}"

    # ---- what a site has promised ------------------------------------------------------------

    def promised(self, ledger: TermLedger) -> str:
        """Return the records in a site's ledger, and its promises in the term that is open."""
        records = listed(self.record(record.hash) for record in ledger.records()) or "empty"
        term = len(ledger) + 1
        votes, proposal, promises = ledger.votes(term), ledger.proposal(term), []
        if votes.granted > NONE_SEEN:
            promises.append(f"follows attempt {votes.granted}")
        if votes.accepted is not None:
            record, attempt = self.record(votes.accepted.record), votes.accepted.attempt
            promises.append(f"has accepted {record} under attempt {attempt}")
        if proposal is not None:
            record = self.record(proposal[1].record.hash)
            promises.append(f"has proposed {record} under attempt {proposal[0]}")
        if votes.forgetful:
            promises.append(f"does not vote: {why_silent(ledger, term)}")
        return f"ledger {records}; term {term}: {', '.join(promises) or 'no promise'}"


def _ballot(ballot: Ballot) -> str:
    return f"{ballot.examples} examples, loss {ballot.loss:.3f}"


def _told(votes: wire.VotesTold) -> str:
    accepted = "a record" if votes.accepted else "no record"
    lost = ", but its state was lost" if votes.forgetful else ""
    return f"term {votes.term} is open here, {accepted} accepted in it{lost}"


def ended(outcome: JobOutcome) -> str:
    """Return how a server's task ended."""
    if outcome.result == "failed":
        return f"failed, {why(outcome.text)}"
    if outcome.result == "outvoted":
        seen = outcome.attempt
        return f"outvoted by attempt {seen}" if seen > NONE_SEEN else f"no vote, {outcome.code}"
    return outcome.result
