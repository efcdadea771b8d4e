"""A site's answers in secure aggregation.

Every secret and every choice is durable on disk before the answer that depends on it is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flwr.app import Message, RecordDict

from srflm_flower.federation.federation import Federation
from srflm_flower.site.secure_aggregation.secrets_on_disk import SecretsOnDisk
from srflm_flower.site.state import SiteState
from strategies.errors import MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.secure_nouns import Context
from strategies.protocol.signatures import Keys
from strategies.secure_aggregation import messages as secure
from strategies.secure_aggregation.client import Client, Secrets, begin
from strategies.secure_aggregation.quantising import Quantiser, agreed_quantiser
from strategies.weights import Weights

MAX_SESSIONS = 32  # for one server in one round: bounds the secrets that a site has to store

CheckSum = Callable[[secure.SecureRequest], None]
"""Check that the agreed plan has this sum, of an update that the site has."""

FindUpdate = Callable[[secure.SecureRequest, Message], tuple[Weights, Weights] | None]
"""Return the site's update of a round and the model that it started from, or None if absent."""

Handler = Callable[[Any, Message], RecordDict]


@dataclass(frozen=True)
class SecureSum:
    """One vendor's site as a client of secure aggregation.

    ``remembers`` tells whether the site still has all its notes.  A site that was restored from an
    older copy might reveal shares of both secrets of one peer, which together unmask its update.
    """

    client: Client
    notes: SecretsOnDisk
    quantiser: Quantiser
    check: CheckSum
    find_update: FindUpdate
    remembers: Callable[[], bool]

    def handlers(self) -> dict[str, tuple[type[secure.SecureRequest], Handler]]:
        """Return message type → (noun, handler)."""
        return {
            secure.KEYS: (secure.AdvertiseKeys, self._keys),
            secure.SHARES: (secure.ShareSecrets, self._shares),
            secure.MASKED: (secure.SendMasked, self._masked),
            secure.CONFIRM: (secure.ConfirmSurvivors, self._confirm),
            secure.UNMASK: (secure.Unmask, self._unmask),
        }

    def _keys(self, asked: secure.AdvertiseKeys, message: Message) -> RecordDict:
        context = asked.context
        if context.server == self.client.vendor:
            raise _refused("the server itself asked for keys", "a client")
        with self.notes.writing():
            notes = self.notes.find(context)
            if notes is None:  # asked again, the site advertises the same keys
                self.check(asked)
                self._check_may_begin(context)
                notes = begin(context)
                self.notes.keep(notes)
        return self._reply(keys=self.client.card(notes))

    def _check_may_begin(self, context: Context) -> None:
        if not self.remembers():
            raise _refused("an aggregation at a site that has lost its state", "the next term")
        begun = [n for n in self.notes.of_server(context) if n.context.round == context.round]
        if len(begun) >= MAX_SESSIONS:
            raise _refused("one more session of this server", f"{MAX_SESSIONS} a round at most")

    def _shares(self, asked: secure.ShareSecrets, message: Message) -> RecordDict:
        with self.notes.writing():
            notes = self.client.share(self._begun(asked), asked.keys)
            self.notes.keep(notes)
        return self._reply(shares=notes.sealed)

    def _masked(self, asked: secure.SendMasked, message: Message) -> RecordDict:
        update = self.find_update(asked, message)
        if update is None:
            raise _refused("a masked update that this site does not have", "train first")
        weights, start = update
        masked = self.quantiser.encode(weights, start)
        with self.notes.writing():
            notes = self.client.receive(self._begun(asked), asked.shares)
            notes = self.client.commit_to(notes, masked)
            self.notes.keep(notes)
        # Masks in place, so only after the note of which update is masked is durable.
        self.client.mask(notes, masked)
        return secure.with_masked(self._reply(), masked)

    def _confirm(self, asked: secure.ConfirmSurvivors, message: Message) -> RecordDict:
        with self.notes.writing():
            notes = self.client.confirm(self._begun(asked), asked.survivors)
            self._check_no_second_sum(notes)
            self.notes.keep(notes)
        return self._reply(signature=self.client.confirmation(notes))

    def _unmask(self, asked: secure.Unmask, message: Message) -> RecordDict:
        with self.notes.writing():
            notes = self._begun(asked)
            released = self.client.release(notes, asked.confirmations)
            self._check_no_second_sum(notes)
            # Noted before the shares leave: a crash in between must not allow a second sum.
            self.notes.keep(notes.model_copy(update={"released": True}))
        return self._reply(shares=released)

    def _begun(self, asked: secure.SecureRequest) -> Secrets:
        notes = self.notes.find(asked.context)
        if notes is None or not self.remembers():
            raise _refused("an aggregation that this site has not begun", "its keys first")
        return notes

    def _check_no_second_sum(self, notes: Secrets) -> None:
        """Refuse to help the same server to a second sum over another set of clients."""
        # The difference of two sums over sets that differ by one client is that client's update.
        # In a later round of the term, too: its start is the server's choice, so it may be the same
        # one, or nearly.
        for other in self.notes.of_server(notes.context):
            if other.released and other.survivors != notes.survivors:
                raise MessageRefused(
                    "a second sum, of other clients, for the same server in one term",
                    "the same clients in all sums of a term and server: two tell the difference",
                    "nothing: the next vendor in the ranking serves",
                    MessageRefused.SECOND_SUM,
                )

    def _reply(self, **fields: object) -> RecordDict:
        plain = {"vendor": self.client.vendor, "status": "done"}
        return wire.pack(wire.Reply.model_validate(plain | fields))


def secure_site(
    vendor: str,
    federation: Federation,
    keys: Keys,
    state: SiteState,
    check: CheckSum,
    find_update: FindUpdate,
) -> dict[str, tuple[type[secure.SecureRequest], Handler]]:
    """Return a vendor's handlers by message type."""
    aggregation, roster = federation.aggregation, federation.roster
    site = SecureSum(
        Client(vendor, roster, keys, aggregation.min_clients),
        state.secure_notes,
        agreed_quantiser(aggregation.secure_range, len(roster)),
        check,
        find_update,
        state.ledger.is_sure,
    )
    return site.handlers()


def _refused(found: str, expected: str) -> MessageRefused:
    return MessageRefused(
        found, expected, "look into the server that sent it", MessageRefused.INCONSISTENT
    )
