"""The page as a web application: routes behind the rules of :mod:`deploy.page.guard`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.page.guard import (
    HEADERS,
    OPEN_PATHS,
    POLICY_OF_CASES,
    Asked,
    is_known,
    refusal,
)
from deploy.page.rendering import TYPES, asset, not_signed_in, page
from deploy.page.streams import Streams
from deploy.page.tokens import COOKIE_SECONDS, cookie_name, cookie_value, is_token
from deploy.page.watching import Watcher

FRESH_SECONDS = 0.3
"""A page is made of a look that is no older."""
READING_SECONDS = 3.0
ENTER = "/enter"
ASSETS = "/assets/"


def page_app(watcher: Watcher, token: str, clock: Callable[[], float] = time.time) -> ASGIApp:
    """Return the application that shows what ``watcher`` sees to those who have ``token``."""
    config = watcher.config

    def fresh() -> None:
        if not 0 <= clock() - watcher.seen.now < FRESH_SECONDS:
            watcher.look()

    async def look() -> str:
        return (await run_in_threadpool(watcher.look)).version

    def show(request: Request) -> Response:
        fresh()
        return HTMLResponse(page(config, watcher.seen, _number(request.query_params.get("page"))))

    def metrics(request: Request) -> Response:
        # Only here: a site without Prometheus need not import its client.
        from deploy.page.metrics import CONTENT_TYPE, metrics_text

        fresh()
        return Response(metrics_text(config, watcher.seen), media_type=CONTENT_TYPE)

    def cases(request: Request) -> Response:
        return _cases(config.files.cases)

    def enter(request: Request) -> Response:
        if not is_token(request.query_params.get("token", ""), token):
            return HTMLResponse(not_signed_in(), HTTPStatus.UNAUTHORIZED)
        answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        answer.set_cookie(
            cookie_name(config.vendor),
            cookie_value(token, clock()),
            max_age=COOKIE_SECONDS,
            httponly=True,
            samesite="strict",
        )
        return answer

    @asynccontextmanager
    async def reading(_: Starlette) -> AsyncIterator[None]:
        rest = asyncio.ensure_future(run_in_threadpool(watcher.look_at_all))
        # The page of a long ledger is there before all of it is checked, and says so.
        await asyncio.wait({rest}, timeout=READING_SECONDS)
        yield
        rest.cancel()

    routes = [
        Route("/", show),
        Route("/metrics", metrics),
        Route("/cases", cases),
        Route("/events", Streams(look)),
        Route("/healthz", lambda request: PlainTextResponse("ok\n")),
        Route(ENTER, enter),
        Route(ASSETS + "{name}", _asset),
    ]
    inner = Starlette(routes=routes, lifespan=reading)
    return Guarded(inner, token, cookie_name(config.vendor), clock)


class Guarded:
    """An ASGI app in front of another: refuses what may not be asked, and sets the headers."""

    def __init__(
        self, app: ASGIApp, token: str, cookie: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._app, self._token, self._cookie, self._clock = app, token, cookie, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        app = self._refused(scope) or self._app
        await app(scope, receive, send_with_headers)

    def _refused(self, scope: Scope) -> Response | None:
        asked = _asked(scope, self._cookie)
        status = refusal(asked)
        if status is not None:
            allow = {"Allow": "GET, HEAD"} if status == HTTPStatus.METHOD_NOT_ALLOWED else None
            return PlainTextResponse(f"{status.phrase}\n", status, allow)
        if asked.path in (*OPEN_PATHS, ENTER) or asked.path.startswith(ASSETS):
            return None
        if is_known(asked, self._token, self._clock()):
            return None
        return HTMLResponse(not_signed_in(), HTTPStatus.UNAUTHORIZED)


def _asked(scope: Scope, cookie: str) -> Asked:
    headers = Headers(scope=scope)
    # Two headers of one name could mean one thing here and another elsewhere: none counts.
    plain = {name: headers[name] if len(headers.getlist(name)) == 1 else "" for name in headers}
    return Asked(
        scope["method"],
        scope["path"],
        plain,
        _cookie(plain.get("cookie", ""), cookie),
    )


def _cookie(header: str, name: str) -> str:
    """Return a cookie of a Cookie header; "" without one, or for a header that is none."""
    for part in header.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return ""


def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in TYPES:
        return PlainTextResponse("Not Found\n", HTTPStatus.NOT_FOUND)
    return Response(asset(name), media_type=TYPES[name])


def _cases(path: Path) -> Response:
    try:
        content = path.read_bytes()
    except OSError:
        return PlainTextResponse("srflm export has drawn no pictures\n", HTTPStatus.NOT_FOUND)
    return HTMLResponse(content, headers={"Content-Security-Policy": POLICY_OF_CASES})


def _number(text: str | None) -> int:
    """Return the number of a page in a query; 1 for anything else."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 7):
        return 1
    return int(text)
