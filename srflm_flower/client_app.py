"""The Flower ClientApp: every message of a term goes to the vendor's site, and only its reply out.

Whatever goes wrong at a site, the server gets a code; the text stays in the site's own log.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from srflm_flower.deployed_site import PEER, DeployedSite, deployed_site
from srflm_flower.run.simulated_site import simulated_site
from strategies.errors import INTERNAL_ERROR, SrflmError
from strategies.protocol import messages as wire

app = ClientApp()


class Where(Protocol):
    """Where a message is answered."""

    @property
    def vendor(self) -> str:
        """Whose site it is."""
        ...

    def answer(self, message: Message) -> RecordDict:
        """Answer a message; raises :class:`SrflmError` when it is refused or fails."""
        ...

    def log(self, text: str) -> None:
        """Append to the site's own log."""
        ...

    def highest_attempt(self) -> int:
        """Return the highest attempt at the next term that the site has granted."""
        ...


@app.query("open")
@app.train("local")
@app.train("recall")
@app.train("finetune")
@app.evaluate("models")
@app.query("accept")
@app.query("commit")
@app.query("records")
@app.query("model")
@app.query("votes")
@app.query("order")
@app.query("personalised")
@app.query("keys")
@app.query("shares")
@app.query("masked")
@app.query("confirm")
@app.query("unmask")
def answer(message: Message, context: Context) -> Message:
    """Answer one message of a term, at the site or simulated site that this process belongs to."""

    def find() -> Where | None:
        deployed = deployed_site()
        if deployed is not None:
            return AtSite(deployed, str(context.node_config[PEER]))
        return simulated_site(context)

    return answer_at(find, message)


def answer_at(find: Callable[[], Where | None], message: Message) -> Message:
    """Answer ``message`` where ``find`` says; nothing is raised, and only a code is told."""
    where: Where | None = None
    try:
        where = find()
        if where is None:
            return Message(wire.pack(wire.Reply(vendor="", status="spare")), reply_to=message)
        return Message(where.answer(message), reply_to=message)
    except SrflmError as error:
        return _failure(message, where, error.code, str(error))
    except Exception as error:  # nothing that a site raises may travel in Flower's error text
        text = "".join(traceback.format_exception(error))
        return _failure(message, where, INTERNAL_ERROR, text)


@dataclass(frozen=True)
class AtSite:
    """A deployed site, and the vendor on whose SuperLink the message lay."""

    found: DeployedSite
    sender: str

    @property
    def vendor(self) -> str:
        """Whose site it is."""
        return self.found.vendor

    def answer(self, message: Message) -> RecordDict:
        """Answer a message; raises :class:`SrflmError` when it is refused or fails."""
        return self.found.answer(message, self.sender)

    def log(self, text: str) -> None:
        """Append to the site's own log."""
        self.found.log(f"from {self.sender}: {text}")

    def highest_attempt(self) -> int:
        """Return the highest attempt at the next term that the site has granted."""
        return self.found.highest_attempt()


def _failure(message: Message, where: Where | None, code: str, text: str) -> Message:
    vendor, attempt = "", 0
    if where is not None:
        where.log(f"{message.metadata.message_type}: {text}")
        vendor, attempt = where.vendor, where.highest_attempt()
    reply = wire.Reply(vendor=vendor, status="failed", code=code, attempt=attempt)
    return Message(wire.pack(reply), reply_to=message)
