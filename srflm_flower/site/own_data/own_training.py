"""A vendor's training and fine-tuning at its site: by the agreed plan, resumed after a crash."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from clients.learner import Learner, Trained
from clients.privacy.noise import private_randomness
from clients.privacy.update_level import protect_update
from clients.training import Work
from srflm_flower.federation.federation import Federation
from srflm_flower.privacy.scheduled import scheduled_privacy
from srflm_flower.site.own_data.home_weights import HomeWeights
from srflm_flower.site.privacy import check_told
from srflm_flower.site.state import SiteState, UpdateNotes
from strategies.protocol import messages as wire
from strategies.protocol.records import Ballot, VendorPrivacy
from strategies.secure_aggregation.messages import SecureRequest
from strategies.settings import Role
from strategies.weights import Weights


@dataclass
class OwnTraining:
    """The work of one vendor's learner for the federation."""

    vendor: str
    federation: Federation
    state: SiteState
    learner: Learner
    home: HomeWeights
    _told_through: int = field(default=0, init=False)

    def train(self, work: wire.Train, start: Weights, role: Role) -> Trained:
        """Train, resuming from the checkpoint that an interruption has left of the same work.

        The result has all weights of the network, also those that stay at the site.
        """
        key = f"{role} {work.model_dump_json(exclude={'envelope'})}"  # the same in any attempt
        self.check_told()
        checkpoint, term = self.state.checkpoint(role, key), work.envelope.term
        todo = self._todo(work, role)
        begin = self.home.complete(start)
        trained = self.learner.train(begin, todo, role, work.round, checkpoint, term)
        checkpoint.drop()
        privacy = self.federation.privacy
        if privacy.update_clip is None:
            return trained
        noise = privacy.update_noise, private_randomness()
        sent = self.home.shared(trained.weights)
        protected = protect_update(self.home.shared(begin), sent, privacy.update_clip, *noise)
        return replace(trained, weights={**trained.weights, **protected})

    def _todo(self, work: wire.Train, role: Role) -> Work:
        """Return the work by this site's own plan: E_c epochs as a client, E_s as the server."""
        plan = self.federation.term_plan()
        epochs = plan.client_epochs if role == "client" else plan.server_epochs
        return Work(plan.learning_rate_in(work.round), epochs, work.steps)

    def check_told(self) -> None:
        """Check that the privacy ledger lists all training in records since the last check."""
        if self.learner.spender is not None:
            records = self.state.ledger.records(self._told_through + 1)
            rounds_per_term = self.federation.rounds_per_term
            check_told(self.learner.spender, self.vendor, records, rounds_per_term)
            self._told_through += len(records)

    def privacy(self, open_term: wire.Envelope) -> VendorPrivacy | None:
        """Return the ε that the agreed plan has cost so far, with the work of the open term."""
        spender = self.learner.spender
        if spender is None:
            return None
        trained = self.state.answered.of(open_term.term, self.vendor).trained
        done: dict[Role, bool] = {
            "server": open_term.server == self.vendor,
            "client": bool(trained),
        }
        now = [role for role in done if done[role]]
        return scheduled_privacy(
            spender, self.vendor, self.state.ledger.records(), now, self.federation.rounds_per_term
        )


def notes_of(work: wire.Train, trained: Trained) -> UpdateNotes:
    """Return the notes about an update, to be stored with it."""
    return UpdateNotes(
        term=work.envelope.term,
        round=work.round,
        start=work.model,
        ballot=Ballot(examples=trained.examples, loss=trained.loss),
        steps=trained.steps,
        server=work.envelope.server,
        attempt=work.envelope.attempt,
    )


def is_of(work: wire.Train | SecureRequest, notes: UpdateNotes) -> bool:
    """Return whether an update is the outcome of this work, whoever asked for it."""
    done = notes.term, notes.round, notes.start
    return done == (work.envelope.term, work.round, work.model)
