"""Who may ask the page for what: the token, the name of the host, and other web pages."""

from __future__ import annotations

import stat
from http import HTTPStatus
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.page.guard import Asked, is_known, refusal
from deploy.page.tokens import (
    COOKIE_SECONDS,
    cookie_name,
    cookie_value,
    is_cookie,
    is_token,
    keep_token,
    read_token,
)
from strategies.errors import ConfigurationError

TOKEN = "t" * 43
NOW = 1_800_000_000.0


def asked(method: str = "GET", path: str = "/", cookie: str = "", **headers: str) -> Asked:
    """Return a request; ``_`` in the name of a header stands for a hyphen."""
    plain = {name.replace("_", "-"): value for name, value in headers.items()}
    return Asked(method, path, {"host": "127.0.0.1:8000"} | plain, cookie)


# ---- the host, and other web pages ---------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:1", "localhost:8080", "[::1]:9", "LOCALHOST"]
)
def test_names_of_this_host_are_right_at_any_port(host: str) -> None:
    assert refusal(asked(host=host)) is None


@pytest.mark.parametrize(
    "host",
    [
        *("", "aster.example.org", "evil.example:8000", "127.0.0.1.evil.example", "0.0.0.0:8000"),
        *("localhost:80@evil.example", "127.0.0.1:80:80", "[::1]evil", "localhost:", ":8000"),
    ],
)
def test_another_name_is_refused(host: str) -> None:
    """A name of somebody else's that was bound to 127.0.0.1 gets nothing (DNS rebinding)."""
    assert refusal(asked(host=host)) == HTTPStatus.MISDIRECTED_REQUEST


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "https://127.0.0.1:8000",
        "http://127.0.0.1:9999",
        "http://localhost:8000",
    ],
)
def test_another_origin_is_refused(origin: str) -> None:
    assert refusal(asked(origin=origin)) == HTTPStatus.FORBIDDEN


def test_own_origin_is_right() -> None:
    assert refusal(asked(origin="http://127.0.0.1:8000")) is None


@pytest.mark.parametrize("where", ["cross-site", "same-site", "anything"])
def test_what_another_web_page_asks_for_is_refused(where: str) -> None:
    """Another port of this host counts as the same site: cookies go along with its requests."""
    assert refusal(asked(sec_fetch_site=where, sec_fetch_mode="cors")) == HTTPStatus.FORBIDDEN
    framed = asked(sec_fetch_site=where, sec_fetch_mode="navigate", sec_fetch_dest="iframe")
    assert refusal(framed) == HTTPStatus.FORBIDDEN


def test_link_that_somebody_follows_is_right() -> None:
    followed = asked(
        sec_fetch_site="cross-site", sec_fetch_mode="navigate", sec_fetch_dest="document"
    )
    assert refusal(followed) is None


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
)
def test_nothing_can_be_changed(method: str) -> None:
    assert refusal(asked(method)) == HTTPStatus.METHOD_NOT_ALLOWED


# ---- the token -----------------------------------------------------------------------------------


def test_token_is_known_as_bearer_and_by_its_cookie() -> None:
    assert is_known(asked(authorization=f"Bearer {TOKEN}"), TOKEN, NOW)
    assert is_known(asked(authorization=f"bearer  {TOKEN} "), TOKEN, NOW)
    assert is_known(asked(cookie=cookie_value(TOKEN, NOW)), TOKEN, NOW)


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic " + TOKEN, TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"],
)
def test_other_words_are_not_the_token(header: str) -> None:
    assert not is_known(asked(authorization=header), TOKEN, NOW)


def test_cookie_is_not_the_token_and_ends() -> None:
    """A browser shows it to every program on this host, whatever its port."""
    cookie = cookie_value(TOKEN, NOW)
    assert TOKEN not in cookie
    assert not is_token(cookie, TOKEN)
    assert is_cookie(cookie, TOKEN, NOW + COOKIE_SECONDS - 1)
    assert not is_cookie(cookie, TOKEN, NOW + COOKIE_SECONDS)
    assert not is_cookie(cookie, TOKEN, NOW - 10), "of the future"
    assert not is_cookie(cookie, "u" * 43, NOW), "of another token: it was drawn anew"


@given(st.text(max_size=80))
def test_no_text_passes_as_token_or_cookie(text: str) -> None:
    assert not is_token(text.encode("utf-8", "replace").decode(), TOKEN)
    assert not is_cookie(text.encode("utf-8", "replace").decode(), TOKEN, NOW)


@given(st.integers(min_value=0, max_value=COOKIE_SECONDS * 2))
def test_time_in_a_cookie_cannot_be_moved(later: int) -> None:
    made, proof = cookie_value(TOKEN, NOW).split(".")
    moved = f"{int(made) + later}.{proof}"
    assert is_cookie(moved, TOKEN, NOW + later) is (later == 0)


def test_sites_on_one_machine_have_cookies_of_their_own() -> None:
    assert cookie_name("aster") != cookie_name("borealis")


# ---- its file ------------------------------------------------------------------------------------


def test_token_is_drawn_once_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "page.token"
    token = keep_token(path)
    assert len(token) == 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keep_token(path) == token == read_token(path)
    assert keep_token(tmp_path / "other") != token


@pytest.mark.parametrize("text", ["", "short", "a" * 42, "a b" * 20, "é" * 50])
def test_file_without_a_token_is_refused(tmp_path: Path, text: str) -> None:
    """An empty file must not open the page to those who send an empty token."""
    path = tmp_path / "page.token"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="holds no token"):
        keep_token(path)
