"""Average with secure aggregation, between training and fine-tuning (``aggregation.secure``).

The server sends five requests (:mod:`strategies.secure_aggregation`) and learns only the sum.
Clients may be lost at each; if fewer than a majority of the federation's clients stay, the term
fails and nothing is revealed.  The server's own last update is not masked: its own node sends it
to its own server only.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from strategies.errors import FederationStopped, MessageRefused, UpdateRejected
from strategies.protocol.messages import Answer
from strategies.protocol.records import Absence
from strategies.protocol.secure_nouns import KeyCard, threshold_of
from strategies.secure_aggregation import messages as secure
from strategies.secure_aggregation.quantising import Residues, agreed_quantiser, mean_from
from strategies.secure_aggregation.server import Unmasking
from strategies.secure_aggregation.sharing import NotRecovered
from strategies.settings import AggregationSettings
from strategies.term.answers import checked_update
from strategies.term.attempt import Attempt, ServerLost
from strategies.term.conversation import Conversation, request
from strategies.term.plan import TermPlan
from strategies.weights import Model, Weights

PHASE = "aggregate"

Found = TypeVar("Found", dict[str, Any], tuple[KeyCard, ...])


def secure_mean(
    conversation: Conversation,
    plan: TermPlan,
    settings: AggregationSettings,
    round_number: int,
    start: Model,
    trained: Mapping[str, Answer],
) -> Weights:
    """Return the mean weights of the vendors that ``trained`` from ``start`` and stay to the end.

    Notes these vendors in the open term.  Raises :class:`FederationStopped` if too few stay, and
    :class:`ServerLost` if the sites must not help this server to a second sum.
    """
    term, template = conversation.term, start.weights
    own = _own_update(term, trained, template)
    session = _Session(conversation, plan, settings, round_number, start)
    clients = [vendor for vendor in trained if vendor != term.server]
    survivors, total = session.sum(clients)
    quantiser = agreed_quantiser(settings.secure_range, len(plan.roster))
    mean = mean_from(quantiser.decode(total, template), len(survivors), template, own)
    for vendor in trained:
        reply = trained[vendor].reply
        # The server's recalled update may be of an earlier term: no work in this one.
        if vendor in survivors or (vendor == term.server and own is not None and reply.steps):
            term.note_work(reply, round_number, "client")
    term.clients = tuple(vendor for vendor in plan.roster if vendor in survivors)
    term.stale_server = own is not None
    return mean


def _own_update(term: Attempt, trained: Mapping[str, Answer], template: Weights) -> Weights | None:
    """Return the server's own last update, or None if its node sent no usable one."""
    answer = trained.get(term.server)
    if answer is None or not answer.reply.update:
        return None
    try:
        return checked_update(answer, template).weights
    except UpdateRejected as error:
        term.note_absence(term.server, "train", error.code)
        return None


class _Session:
    """One aggregation: the five requests in order, each to the clients that answered the last."""

    def __init__(
        self,
        conversation: Conversation,
        plan: TermPlan,
        settings: AggregationSettings,
        round_number: int,
        start: Model,
    ) -> None:
        self._conversation, self._plan, self._start = conversation, plan, start
        self._threshold = threshold_of(len(plan.roster), settings.min_clients)
        self._about: dict[str, Any] = {
            "envelope": conversation.term.envelope,
            "round": round_number,
            "model": start.hash,
            # A server that crashed begins a new session, for which every client makes new keys.
            "session": secrets.token_hex(16),
        }

    def sum(self, clients: Iterable[str]) -> tuple[frozenset[str], Residues]:
        """Return the clients whose updates are in the sum, and the sum."""
        cards = self._keys(clients)
        shares = self._shares(cards)
        masked = self._masked(shares)
        signatures = self._confirmations(masked)
        unmasking = Unmasking(
            secure.AdvertiseKeys(**self._about).context,
            self._threshold,
            cards,
            frozenset(shares),
            frozenset(masked),
            self._released(signatures),
        )
        try:
            return unmasking.survivors, unmasking.total(masked)
        except NotRecovered as error:
            raise self._stopped(f"shares that unmask nothing ({error})") from error

    def _keys(self, clients: Iterable[str]) -> tuple[KeyCard, ...]:
        asking = secure.AdvertiseKeys(**self._about)
        replies = self._ask(secure.KEYS, dict.fromkeys(clients, asking))
        cards = {vendor: answer.reply.keys for vendor, answer in replies.items()}
        # Ignore a card in another client's name.
        named = tuple(c for v, c in cards.items() if c is not None and c.vendor == v)
        return self._enough(named)

    def _shares(self, cards: tuple[KeyCard, ...]) -> dict[str, dict[str, str]]:
        """Return sender → recipient → sealed share, of the clients that sent a share to all."""
        listed = [card.vendor for card in cards]
        sharing = secure.ShareSecrets(**self._about, keys=cards)
        replies = self._ask(secure.SHARES, dict.fromkeys(listed, sharing))
        # A client that did not share with all might not be recoverable: leave it out.
        sent = {vendor: answer.reply.shares for vendor, answer in replies.items()}
        return self._enough({v: shares for v, shares in sent.items() if set(shares) == set(listed)})

    def _masked(self, shares: dict[str, dict[str, str]]) -> dict[str, Residues]:
        questions = {
            vendor: secure.SendMasked(
                **self._about, shares={sender: sent[vendor] for sender, sent in shares.items()}
            )
            for vendor in shares
        }
        size = sum(array.size for array in self._start.weights.values())
        masked = {}
        for vendor, answer in self._ask(secure.MASKED, questions).items():
            try:
                masked[vendor] = secure.masked_in(answer.rest, size)
            except UpdateRejected as error:
                self._conversation.term.note_absence(vendor, PHASE, error.code)
        return self._enough(masked)

    def _confirmations(self, survivors: Iterable[str]) -> dict[str, str]:
        asking = secure.ConfirmSurvivors(**self._about, survivors=tuple(sorted(survivors)))
        replies = self._ask(secure.CONFIRM, dict.fromkeys(survivors, asking))
        return self._enough({v: answer.reply.signature for v, answer in replies.items()})

    def _released(self, signatures: dict[str, str]) -> dict[str, dict[str, str]]:
        """Return sender → owner of the secret → opened share."""
        asking = secure.Unmask(**self._about, confirmations=signatures)
        replies = self._ask(secure.UNMASK, dict.fromkeys(signatures, asking))
        return self._enough({v: answer.reply.shares for v, answer in replies.items()})

    # ------------------------------------------------------------------------------------------

    def _ask(self, kind: str, questions: Mapping[str, secure.SecureRequest]) -> dict[str, Answer]:
        node_of = self._conversation.term.node_of
        requests = [request(noun, kind, node_of[vendor]) for vendor, noun in questions.items()]
        return self._conversation.ask(requests, PHASE, self._plan.work_deadline, [self._start])

    def _enough(self, found: Found) -> Found:
        """Return ``found`` if it has at least the threshold's number of clients.

        Raises :class:`ServerLost` if a site refused a second sum, else :class:`FederationStopped`.
        """
        if len(found) >= self._threshold:
            return found
        term = self._conversation.term
        codes = {a.code for a in term.absences if a.attempt == term.envelope.attempt}
        # A site helps a server to one sum: another server can still complete the term.
        if MessageRefused.SECOND_SUM in codes:
            raise ServerLost(
                Absence(
                    vendor=term.server,
                    phase=PHASE,
                    code=MessageRefused.SECOND_SUM,
                    attempt=term.envelope.attempt,
                )
            )
        raise self._stopped(f"{len(found)} clients that stayed")

    def _stopped(self, found: str) -> FederationStopped:
        return FederationStopped(
            f"{found} in the secure aggregation of term {self._conversation.term.envelope.term}",
            f"{self._threshold}, a majority of the clients (or aggregation.min-clients);"
            " nothing was revealed",
            "look into the sites' own logs, bring more sites back, and resume the run",
            FederationStopped.TOO_FEW_CLIENTS,
        )
