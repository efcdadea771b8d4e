"""Ask the vendors of an open term, send models that a site lacks, and note absences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flwr.app import Message, RecordDict

from strategies.errors import FederationStopped
from strategies.protocol import messages as wire
from strategies.protocol.messages import Answer
from strategies.protocol.quorum import has_quorum
from strategies.protocol.records import Noun, Quorum, quorum_size
from strategies.term.attempt import Attempt
from strategies.term.plan import Observer
from strategies.weights import Model

RESEND = 1
"""How many times to resend a request after an error or a malformed reply.

A site keeps the work that it had finished before its process broke off.
"""

FindModel = Callable[[str], Model]


def request(noun: Noun, kind: str, node: int, models: Iterable[Model] = ()) -> Message:
    """Return the message that asks ``node`` for ``noun``, with ``models`` attached."""
    return Message(wire.pack(noun, models), dst_node_id=node, message_type=kind)


def _same_to(message: Message, content: RecordDict) -> Message:
    return Message(
        content,
        dst_node_id=message.metadata.dst_node_id,
        message_type=message.metadata.message_type,
    )


def vendors_done(answers: Iterable[Answer | None]) -> set[str]:
    """Return the vendors whose answers have the status ``done``."""
    replies = (answer.reply for answer in answers if answer is not None)
    return {reply.vendor for reply in replies if reply.status == "done"}


def require_quorum(
    roster: tuple[str, ...], quorum: Quorum, count: int, did: str, term: int
) -> None:
    """Raise :class:`FederationStopped` unless ``count`` vendors of the roster decide."""
    needed = quorum_size(len(roster), quorum)
    if count < needed:
        raise FederationStopped(
            f"{count} of {len(roster)} vendors {did} (term {term})",
            f"a quorum of {needed}",
            "bring more sites back and resume the run; nothing committed is lost",
            FederationStopped.NO_QUORUM,
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
        quorum_decides: bool = False,
    ) -> dict[str, Answer]:
        """Return vendor → answer with the status ``done``; note the other vendors as absent.

        ``deadline`` is in seconds.  ``at_hand`` are models that a site may ask for; ``find`` looks
        up any other.  If ``quorum_decides``, the wait for the others ends soon after a quorum
        is done.
        """
        enough = self._quorum_is_done if quorum_decides else None
        models = {model.hash: model for model in at_hand}
        waiting = {message.metadata.dst_node_id: message for message in requests}
        asked = [v for v, node in self.term.node_of.items() if node in waiting]
        failed: dict[str, wire.Reply] = {}
        resent: Counter[int] = Counter()
        done: dict[str, Answer] = {}
        while waiting:
            answers = self.term.exchange.ask(waiting, deadline, phase, self._report(phase), enough)
            again = {}
            for node, answer in answers.items():
                if answer is None:
                    if resent[node] < RESEND:
                        again[node] = _same_to(waiting[node], waiting[node].content)
                        resent[node] += 1
                    continue
                reply, vendor = answer.reply, self.term.vendor_at(node)
                # A node may answer only in the name of the vendor that it gave at the opening.
                if vendor is None or reply.vendor != vendor:
                    continue
                if reply.status == "done":
                    done[vendor] = answer
                # Models are sent once, so that a site that keeps asking cannot hold up the term.
                elif reply.status == "needs-models" and not wire.has_models(waiting[node]):
                    again[node] = self._with_models(waiting[node], reply.needs, models)
                else:
                    failed[vendor] = reply
            waiting = again
        for vendor in asked:
            if vendor not in done:
                self.term.note_failure(vendor, phase, failed.get(vendor))
        return done

    def _quorum_is_done(self, answers: Iterable[Answer | None]) -> bool:
        return has_quorum(vendors_done(answers), self.term.roster, self.term.quorum)

    def _with_models(
        self, message: Message, needs: Iterable[str], at_hand: Mapping[str, Model]
    ) -> Message:
        """Return a copy of ``message`` with the models that the site needs."""
        models = [at_hand.get(name) or self.find(name) for name in needs]
        return _same_to(message, wire.with_models(message.content, models))

    def _report(self, phase: str) -> Callable[[Answer], None]:
        """Return a callback that reports every reply to the observer on arrival."""

        def on_answer(answer: Answer) -> None:
            reply = answer.reply
            # A request for models is not an outcome: the real reply follows.
            if reply.status != "needs-models":
                self.observer(
                    "reply",
                    phase=phase,
                    vendor=reply.vendor,
                    status=reply.status,
                    code=reply.code,
                    loss=reply.ballot.loss if reply.ballot else None,
                    metrics=reply.metrics,
                )

        return on_answer
