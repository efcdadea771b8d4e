"""The Flower ClientApp: each message of a term goes to the vendor's site, which gives the reply.

For any error at a site, the server gets only a code; the text stays in the site's own log.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from srflm_flower.run.simulated_site import simulated_site
from srflm_flower.site.signing import signed_failure
from strategies.errors import INTERNAL_ERROR, SrflmError
from strategies.protocol import messages as wire
from strategies.protocol import yielding
from strategies.protocol.signatures import Keys
from strategies.secure_aggregation import messages as secure

Handler = Callable[[Message, Context], Message]


class Answering(Protocol):
    """A site as the ClientApp sees it: :class:`srflm_flower.site.site.Site`, or a wrapper of it."""

    @property
    def vendor(self) -> str:
        """The vendor that the site belongs to."""
        ...

    @property
    def keys(self) -> Keys:
        """The keys with which the vendor signs."""
        ...

    def answer(self, message: Message, sender: str | None = None) -> RecordDict:
        """Answer a message; raises :class:`SrflmError` when it is refused or fails."""
        ...

    def log(self, text: str) -> None:
        """Append to the site's own log."""
        ...

    def highest_attempt(self) -> int:
        """Return the highest attempt at the next term that the site has granted."""
        ...


def make_client_app(answer: Handler) -> ClientApp:
    """Return a ClientApp that answers every message of a term with ``answer``."""
    app = ClientApp()
    for kind in (*wire.KINDS, *yielding.KINDS, *secure.KINDS):
        category, action = kind.split(".")
        getattr(app, category)(action)(answer)  # as the decorator @app.train("local") does
    return app


def answer_at(
    find: Callable[[], Answering | None], message: Message, sender: str | None = None
) -> Message:
    """Answer ``message`` at the site that ``find`` returns; never raise.

    ``find`` returns None at a spare node.  ``sender`` is the vendor whose SuperLink delivered the
    message, if that is known.
    """
    site: Answering | None = None
    try:
        site = find()
        if site is None:
            return Message(wire.pack(wire.Reply(vendor="", status="spare")), reply_to=message)
        return Message(site.answer(message, sender), reply_to=message)
    except SrflmError as error:
        return _failure(message, site, sender, error.code, str(error))
    except Exception as error:  # Flower would send the text, which may tell of patients
        text = "".join(traceback.format_exception(error))
        return _failure(message, site, sender, INTERNAL_ERROR, text)


def _failure(
    message: Message, site: Answering | None, sender: str | None, code: str, text: str
) -> Message:
    vendor, attempt = "", 0
    if site is not None:
        origin = f"from {sender}: " if sender is not None else ""
        # Only here: an exception's text may name patients or paths, so the reply has but a code.
        site.log(f"{origin}{message.metadata.message_type}: {text}")
        vendor = site.vendor
        # What has failed may be what knows the attempt; the reply must not fail with it.
        with suppress(SrflmError, OSError, ValueError):
            attempt = site.highest_attempt()
    reply = wire.Reply(vendor=vendor, status="failed", code=code, attempt=attempt)
    if site is not None:
        with suppress(SrflmError, OSError, ValueError):
            reply = signed_failure(message, reply, site.keys)
    return Message(wire.pack(reply), reply_to=message)


def _answer_simulated(message: Message, context: Context) -> Message:
    return answer_at(lambda: simulated_site(context), message)


app = make_client_app(_answer_simulated)
