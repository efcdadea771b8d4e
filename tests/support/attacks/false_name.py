"""Imported by a site's worker: the site's node answers other servers in a third vendor's name."""

from __future__ import annotations

from collections.abc import Callable

from flwr.app import Message

from deploy.serving import apps
from deploy.site.deployed_site import deployed_site
from srflm_flower.client_app import Answering
from strategies.protocol import messages as wire

_answer_truly = apps.answer_at


def answer_as_another(
    find: Callable[[], Answering | None], message: Message, sender: str | None = None
) -> Message:
    """Do the work, and give all that the site has signed to somebody else."""
    reply = _answer_truly(find, message, sender)
    answer = wire.answer_in(reply)
    if answer is None or sender in (None, answer.reply.vendor):
        return reply
    roster = deployed_site().federation.roster
    victim = next(v for v in roster if v not in (sender, answer.reply.vendor))
    false = answer.reply.model_copy(update={"vendor": victim})
    return Message(wire.pack(false, answer.models.values()), reply_to=message)


apps.answer_at = answer_as_another
