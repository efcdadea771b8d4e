"""Ask the vendors of an open term, send models that a site lacks, and note absences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flwr.app import Message, RecordDict

from strategies.errors import NO_REPLY, FederationStopped, SrflmError
from strategies.protocol import messages as wire
from strategies.protocol.quorum import has_majority
from strategies.protocol.records import Noun, majority
from strategies.term.attempt import Attempt
from strategies.term.plan import Observer
from strategies.weights import Model

RESEND = 1
"""How many times to resend a request after an error reply.

A site keeps the work that it had finished before its process broke off.
"""

FindModel = Callable[[str], Model]


def request(noun: Noun, kind: str, node: int, models: Iterable[Model] = ()) -> Message:
    """Return the message that asks ``node`` for ``noun``, with ``models`` attached."""
    attached = {model.hash: model.arrays for model in models}
    return Message(wire.pack(noun, attached), dst_node_id=node, message_type=kind)


def _same_to(message: Message, content: RecordDict) -> Message:
    return Message(
        content,
        dst_node_id=message.metadata.dst_node_id,
        message_type=message.metadata.message_type,
    )


def parse_reply(message: Message) -> wire.Reply | None:
    """Return the reply in ``message``, or None for an error or a malformed reply."""
    if message.has_error():
        return None
    try:
        return wire.unpack(message, wire.Reply)
    except SrflmError:
        return None


def vendors_done(messages: Iterable[Message]) -> set[str]:
    """Return the vendors whose replies in ``messages`` have the status ``done``."""
    replies = filter(None, map(parse_reply, messages))
    return {reply.vendor for reply in replies if reply.status == "done"}


def require_majority(roster: tuple[str, ...], count: int, did: str, term: int) -> None:
    """Raise :class:`FederationStopped` unless ``count`` vendors are a majority of the roster."""
    needed = majority(len(roster))
    if count < needed:
        raise FederationStopped(
            f"{count} of {len(roster)} vendors {did} (term {term})",
            f"a majority of {needed}",
            "bring more sites back and resume the run; nothing committed is lost",
            FederationStopped.NO_MAJORITY,
        )


@dataclass(frozen=True)
class Conversation:
    """Exchanges messages with the vendors of ``term``; ``find`` looks up a model by its hash."""

    term: Attempt
    find: FindModel
    observer: Observer

    def ask(
        self,
        requests: Iterable[Message],
        phase: str,
        deadline: float,
        at_hand: Iterable[Model] = (),
        majority_decides: bool = False,
    ) -> dict[str, Message]:
        """Return vendor → reply with the status ``done``; note the other vendors as absent.

        ``deadline`` is in seconds.  ``at_hand`` are models that a site may ask for; ``find`` looks
        up any other.  If ``majority_decides``, the wait for the others ends soon after a majority
        is done.
        """
        enough = self._majority_is_done if majority_decides else None
        models = {model.hash: model for model in at_hand}
        waiting = {message.metadata.dst_node_id: message for message in requests}
        asked = [v for v, node in self.term.node_of.items() if node in waiting]
        failed: dict[str, str] = {}
        resent: Counter[int] = Counter()
        done: dict[str, Message] = {}
        while waiting:
            answers = self.term.exchange.ask(waiting, deadline, phase, self._report(phase), enough)
            again = {}
            for node, message in answers.items():
                reply, vendor = parse_reply(message), self.term.vendor_at(node)
                if message.has_error() and resent[node] < RESEND:
                    again[node] = _same_to(waiting[node], waiting[node].content)
                    resent[node] += 1
                # A node may answer only in the name of the vendor that it gave at the opening.
                if reply is None or vendor is None or reply.vendor != vendor:
                    continue
                if reply.status == "done":
                    done[vendor] = message
                # Models are sent once, so that a site that keeps asking cannot hold up the term.
                elif reply.status == "needs-models" and not wire.has_models(waiting[node]):
                    again[node] = self._with_models(waiting[node], reply.needs, models)
                else:
                    failed[vendor] = reply.code
            waiting = again
        for vendor in asked:
            if vendor not in done:
                self.term.note_absence(vendor, phase, failed.get(vendor, NO_REPLY))
        return done

    def _majority_is_done(self, answers: Mapping[int, Message]) -> bool:
        return has_majority(vendors_done(answers.values()), self.term.roster)

    def _with_models(
        self, message: Message, needs: Iterable[str], at_hand: Mapping[str, Model]
    ) -> Message:
        """Return a copy of ``message`` with the models that the site needs."""
        models = {name: (at_hand.get(name) or self.find(name)).arrays for name in needs}
        return _same_to(message, wire.with_models(message.content, models))

    def _report(self, phase: str) -> Callable[[int, Message], None]:
        """Return a callback that reports every reply to the observer on arrival."""

        def on_reply(node: int, message: Message) -> None:
            reply = parse_reply(message)
            # A request for models is not an outcome: the real reply follows.
            if reply is not None and reply.status != "needs-models":
                self.observer(
                    "reply",
                    phase=phase,
                    vendor=reply.vendor,
                    status=reply.status,
                    code=reply.code,
                    loss=reply.ballot.loss if reply.ballot else None,
                    metrics=reply.metrics,
                )

        return on_reply
