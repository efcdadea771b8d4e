"""Server-sent events: browsers wait here, and hear when the site has changed.

The site is looked at once a second while anybody waits, and not at all otherwise.
"""

from __future__ import annotations

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from strategies.errors import SrflmError

MOST_STREAMS = 32
"""More are answered with 503: a stream is cheap, but file handles and patience are not endless."""
LOOK_SECONDS = 1.0
ALIVE_SECONDS = 15.0
"""After so long without news a comment is sent, so that a lost connection is noticed."""
SEND_SECONDS = 10.0
"""A browser that takes nothing for so long is let go."""
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream; charset=utf-8")],
}


@dataclass
class Streams:
    """The open streams; an ASGI app.  ``look`` returns the version of what a page shows."""

    look: Callable[[], Awaitable[str]]
    most: int = MOST_STREAMS
    look_seconds: float = LOOK_SECONDS
    open: int = 0
    _version: str = ""
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _looking: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request for a stream, until the browser leaves."""
        if self.open >= self.most:
            full = PlainTextResponse("too many pages are open\n", 503, {"Retry-After": "30"})
            await full(scope, receive, send)
            return
        self.open += 1
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            if self._looking is None:
                self._version = await self.look()
                self._looking = asyncio.ensure_future(self._keep_looking())
            await self._tell(send, gone)
        except TimeoutError:
            return
        finally:
            gone.cancel()
            self.open -= 1
            if not self.open and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def _tell(self, send: Send, gone: asyncio.Future[None]) -> None:
        told = self._version
        await _send(send, START)
        await _send(send, _body(f"retry: 3000\nevent: hello\ndata: {told}\n\n"))
        while not gone.done():
            news = asyncio.ensure_future(self._wait(told))
            either: set[asyncio.Future[Any]] = {news, gone}
            await asyncio.wait(either, timeout=ALIVE_SECONDS, return_when=FIRST_COMPLETED)
            if not news.done():
                news.cancel()
                with suppress(asyncio.CancelledError):
                    await news
                text = ": still here\n\n"
            else:
                told = news.result()
                text = f"event: changed\ndata: {told}\n\n"
            if not gone.done():
                await _send(send, _body(text))

    async def _wait(self, told: str) -> str:
        async with self._changed:
            await self._changed.wait_for(lambda: self._version != told)
            return self._version

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self.look_seconds)
            try:
                version = await self.look()
            except (OSError, SrflmError):  # a full or lost disk: the next look may go well
                continue
            if version != self._version:
                async with self._changed:
                    self._version = version
                    self._changed.notify_all()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, message: Message) -> None:
    await asyncio.wait_for(send(message), SEND_SECONDS)


def _body(text: str) -> Message:
    return {"type": "http.response.body", "body": text.encode(), "more_body": True}
