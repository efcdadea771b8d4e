"""The Flower ClientApp: every message of a term goes to the vendor's site, and only its reply out.

Whatever goes wrong at a site, the server gets a code; the text stays in the site's own log.
"""

from __future__ import annotations

import traceback

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from srflm_flower import messages as wire
from srflm_flower.errors import INTERNAL_ERROR, SrflmError
from srflm_flower.simulated_site import SimulatedSite, simulated_site

app = ClientApp()


@app.query("open")
@app.train("local")
@app.train("recall")
@app.train("finetune")
@app.evaluate("models")
@app.query("commit")
@app.query("personalised")
def answer(message: Message, context: Context) -> Message:
    """Answer one message of a term."""
    where = None
    try:
        where = simulated_site(context)
        if where is None:
            return Message(wire.pack(wire.Reply(vendor="", status="spare")), reply_to=message)
        return Message(where.site().answer(message), reply_to=message)
    except SrflmError as error:
        return _failure(message, where, error.code, str(error))
    except Exception as error:  # nothing that a site raises may travel in Flower's error text
        text = "".join(traceback.format_exception(error))
        return _failure(message, where, INTERNAL_ERROR, text)


def _failure(message: Message, where: SimulatedSite | None, code: str, text: str) -> Message:
    vendor, attempt = "", 0
    if where is not None:
        where.log(f"{message.metadata.message_type}: {text}")
        vendor, attempt = where.vendor, where.highest_attempt()
    reply = wire.Reply(vendor=vendor, status="failed", code=code, attempt=attempt)
    return Message(wire.pack(reply), reply_to=message)
