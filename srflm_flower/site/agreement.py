"""Hold every request of a server against the agreed plan and this site's own memory."""

from __future__ import annotations

from dataclasses import dataclass

from srflm_flower.federation.federation import Federation
from srflm_flower.site.own_data.own_training import is_of
from srflm_flower.site.state import SiteState, UpdateNotes
from strategies.errors import MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.records import TermRecord
from strategies.secure_aggregation.messages import SecureRequest
from strategies.settings import Role
from strategies.term.agreed_work import (
    check_counted_in,
    check_round,
    check_start,
    check_summed,
    not_trained,
    second_training,
)
from strategies.term.record_check import check_agreed, check_not_left_out, check_quoted
from strategies.weights import Model, check_like


@dataclass(frozen=True)
class Agreement:
    """The federation as one vendor's site holds servers to it.

    ``in_steps`` allows work that is counted in gradient steps, as in a comparison of methods.
    """

    vendor: str
    federation: Federation
    initial: Model
    state: SiteState
    in_steps: bool

    def check_own(self, envelope: wire.Envelope) -> None:
        """Check that the weights of this single vendor go to its own server only.

        Raises :class:`strategies.errors.MessageRefused`.
        """
        if envelope.server != self.vendor:
            raise MessageRefused(
                f"a request of {envelope.server!r} for weights that are for the own server only",
                f"one of {self.vendor!r}",
                "look into the server that sent it",
                MessageRefused.SERVER,
            )

    def check_work(self, work: wire.Train, role: Role, done: UpdateNotes | None) -> None:
        """Check a request to train; ``done`` is the update of this round that the site has.

        Raises :class:`strategies.errors.MessageRefused`.
        """
        plan, head = self.federation.term_plan(), self.state.ledger.last()
        check_counted_in(work, self.in_steps)
        check_round(work, head, plan)
        if role == "server":  # only the own server asks for it, on the average that it has made
            return
        check_start(work, head, self.initial.hash, plan)
        # The one that is on disk, sent or not, and those that other servers' have replaced.
        begun = self.state.answered.starts(work)
        if done is not None and done.server == work.envelope.server:
            begun.add(done.start)
        if begun - {work.model}:
            raise second_training()

    def check_sum(self, asked: SecureRequest) -> None:
        """Check a request to begin a secure sum: it is of the work that this site has done.

        Raises :class:`strategies.errors.MessageRefused`.
        """
        check_summed(self.federation.aggregation.secure)
        # Without work there is nothing to mask, and a note for each round or model at the server's
        # choice would fill the disk.
        done = self.state.update(asked.envelope.term, asked.round)
        if done is None or not is_of(asked, done[1]):
            raise not_trained(asked)

    def check_record(self, record: TermRecord, model: Model, attempt: int) -> None:
        """Check a record of the next term, proposed under ``attempt``, and its model.

        Raises :class:`strategies.errors.MessageRefused`, and
        :class:`strategies.errors.UpdateRejected` for a model that is none of this network.
        """
        ledger = self.state.ledger
        accepted = ledger.accepted(record.term)
        if accepted is not None and accepted.record.hash == record.hash:
            return  # checked before, when this site first accepted it
        check_like(model.weights, self.initial.weights)
        history = ledger.records()
        check_agreed(
            record, history, self.federation.term_plan(), self.federation.election_policy()
        )
        before = history[-1].privacy.get(self.vendor) if history else None
        own = self.state.answered.of(record.term, self.vendor)
        check_quoted(record, own, before)
        if attempt == record.attempt:
            check_not_left_out(record, own)
