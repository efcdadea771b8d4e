"""Many open streams: those that fit hear of every change, the others are turned away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from deploy.page import streams as streams_module
from deploy.page.streams import Streams


class Listener:
    """A browser at one stream; ``heard`` has what was sent to it."""

    def __init__(self, streams: Streams) -> None:
        self.status = 0
        self.heard = ""
        self._leave = asyncio.Event()
        self.deaf = False
        self.task = asyncio.ensure_future(streams({"type": "http"}, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self._leave.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if self.deaf:
            await asyncio.Event().wait()
        self.status = message.get("status", self.status)
        self.heard += message.get("body", b"").decode()

    async def hears(self, text: str) -> None:
        """Wait until it has heard ``text``."""
        while text not in self.heard:
            await asyncio.sleep(0.001)

    async def leave(self) -> None:
        """Close the browser."""
        self._leave.set()
        await self.task


class Site:
    """A site whose version the test sets; ``looks`` counts how often it was looked at."""

    def __init__(self) -> None:
        self.version, self.looks = "one", 0

    async def look(self) -> str:
        self.looks += 1
        return self.version


def play(scene: Callable[[Site, Streams], Awaitable[None]], most: int = 32) -> None:
    """Run a scene with a site that is looked at a thousand times a second."""

    async def run() -> None:
        site = Site()
        await scene(site, Streams(site.look, most=most, look_seconds=0.001))

    asyncio.run(run())


def test_every_browser_hears_of_a_change() -> None:
    async def scene(site: Site, streams: Streams) -> None:
        browsers = [Listener(streams) for _ in range(5)]
        for each in browsers:
            await each.hears("event: hello")
        site.version = "two"
        for each in browsers:
            await each.hears("event: changed\ndata: two\n\n")
        site.version = "three"
        for each in browsers:
            await each.hears("event: changed\ndata: three\n\n")
            await each.leave()

    play(scene)


def test_thousand_streams_are_not_more_than_those_that_fit() -> None:
    async def scene(site: Site, streams: Streams) -> None:
        browsers = [Listener(streams) for _ in range(1000)]
        for each in browsers[:8]:
            await each.hears("event: hello")
        await asyncio.gather(*(each.task for each in browsers[8:]))
        assert [each.status for each in browsers] == [200] * 8 + [503] * 992
        assert streams.open == 8
        site.version = "two"
        for each in browsers[:8]:
            await each.hears("data: two")
        await browsers[0].leave()
        late = Listener(streams)
        await late.hears("event: hello")  # there is room again
        for each in (late, *browsers[1:8]):
            await each.leave()
        assert streams.open == 0

    play(scene, most=8)


def test_site_is_left_alone_when_nobody_listens() -> None:
    async def scene(site: Site, streams: Streams) -> None:
        browser = Listener(streams)
        await browser.hears("hello")
        await browser.leave()
        looks = site.looks
        await asyncio.sleep(0.05)
        assert site.looks == looks
        site.version = "two"
        again = Listener(streams)
        await again.hears("event: hello\ndata: two")
        await again.leave()

    play(scene)


def test_browser_that_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "SEND_SECONDS", 0.01)

    async def scene(site: Site, streams: Streams) -> None:
        browser = Listener(streams)
        await browser.hears("hello")
        browser.deaf = True
        site.version = "two"
        await browser.task
        assert streams.open == 0

    play(scene)


def test_quiet_site_says_that_it_is_still_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "ALIVE_SECONDS", 0.01)

    async def scene(_: Site, streams: Streams) -> None:
        browser = Listener(streams)
        await browser.hears(": still here")
        assert "changed" not in browser.heard
        await browser.leave()

    play(scene)


def test_look_that_fails_ends_no_other_stream() -> None:
    async def scene(site: Site, streams: Streams) -> None:
        browser = Listener(streams)
        await browser.hears("hello")

        async def broken() -> str:
            raise OSError("the disk is gone")

        whole, streams.look = streams.look, broken
        await asyncio.sleep(0.02)
        streams.look, site.version = whole, "two"
        await browser.hears("data: two")
        await browser.leave()

    play(scene)
