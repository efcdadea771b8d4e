"""Ask a web application without a network: each request is one call of the ASGI app."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import httpx
from starlette.types import ASGIApp

Headers = Mapping[str, str] | Sequence[tuple[str, str]]


class Asker:
    """A browser that follows no redirects and keeps its cookies."""

    def __init__(self, app: ASGIApp, base: str) -> None:
        self._app, self._base, self._cookies = app, base, httpx.Cookies()

    def get(self, path: str, headers: Headers | None = None) -> httpx.Response:
        """Return the answer to a GET."""
        return self.request("GET", path, headers)

    def request(self, method: str, path: str, headers: Headers | None = None) -> httpx.Response:
        """Return the answer to a request."""
        return asyncio.run(self._ask(method, path, headers))

    async def _ask(self, method: str, path: str, headers: Headers | None) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(
            transport=transport, base_url=self._base, cookies=self._cookies
        ) as client:
            answer = await client.request(method, path, headers=headers)
            self._cookies.update(client.cookies)
            return answer
