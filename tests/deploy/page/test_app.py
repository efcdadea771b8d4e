"""The page as a browser, a script, or an attacker asks for it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from deploy.page.app import page_app
from deploy.page.guard import HEADERS
from deploy.page.tokens import cookie_name
from deploy.page.watching import Watcher
from deploy.site.diagnosis import Line, keep_diagnosis
from strategies.protocol.records import Absence
from tests.deploy.page.asking import Asker
from tests.deploy.page.watched import Federation, WatchedSite, diagnosis

TOKEN = "t" * 43
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HOST = "http://127.0.0.1:8000"
MARKUP = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
SECRET_PATHS = ("/", "/?page=2", "/metrics", "/cases", "/events", "/other", "/docs", "/..%2fstate")


@pytest.fixture
def site(tmp_path: Path) -> WatchedSite:
    """Return a site with two pages of terms, one of them open."""
    federation = Federation(("aster", "borealis", "cygnus"), private=True)
    federation.add(30)
    site = WatchedSite(tmp_path / "site", federation)
    site.grant(0)
    site.note("train.local", sent=3_900_000, fields=["vendor", "ballot", "weights"])
    return site


@pytest.fixture
def client(site: WatchedSite) -> Asker:
    watcher = Watcher(site.config())
    watcher.look_at_all()
    return Asker(page_app(watcher, TOKEN, lambda: time.time() + 1.0), HOST)  # looks each time


# ---- the token -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SECRET_PATHS)
def test_nothing_is_shown_without_the_token(client: Asker, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "srflm-page=1.2"}):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401
        assert "aster" not in answer.text and "nodules" not in answer.text


def test_token_in_the_address_signs_a_browser_in(client: Asker) -> None:
    answer = client.get(f"/enter?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Path=/", cookie_name("aster")):
        assert part in cookie
    assert TOKEN not in cookie
    assert client.get("/").status_code == 200  # the client keeps the cookie


@pytest.mark.parametrize(
    "query", ["", "?token=", "?token=wrong", f"?token={TOKEN}x", f"?Token={TOKEN}"]
)
def test_wrong_token_signs_nobody_in(client: Asker, query: str) -> None:
    answer = client.get(f"/enter{query}")
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_token_in_any_other_address_is_worth_nothing(client: Asker) -> None:
    assert client.get(f"/?token={TOKEN}").status_code == 401
    assert client.get(f"/metrics?token={TOKEN}").status_code == 401


def test_token_as_bearer_opens_page_and_metrics(client: Asker) -> None:
    assert client.get("/", headers=BEARER).status_code == 200
    metrics = client.get("/metrics", headers=BEARER)
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "srflm_ledger_head_term 30.0" in metrics.text


def test_health_needs_no_token_and_tells_nothing(client: Asker) -> None:
    assert client.get("/healthz").text == "ok\n"


# ---- other hosts, origins, methods ---------------------------------------------------------------


@pytest.mark.parametrize("path", [*SECRET_PATHS, "/healthz", "/enter", "/assets/page.css"])
def test_another_host_or_origin_gets_nothing(client: Asker, path: str) -> None:
    for headers, status in (
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
    ):
        answer = client.get(path, headers=BEARER | headers)
        assert answer.status_code == status
        assert len(answer.text) < 60


def test_two_hosts_in_one_request_are_none(client: Asker) -> None:
    headers = [("Host", "127.0.0.1"), ("Host", "evil.example"), *BEARER.items()]
    assert client.get("/", headers=headers).status_code == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_no_request_changes_anything(client: Asker, method: str) -> None:
    answer = client.request(method, "/", headers=BEARER)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/", BEARER), ("/", {}), ("/metrics", BEARER), ("/assets/page.js", {}), ("/x", BEARER)],
)
def test_headers_forbid_what_a_browser_could_do_wrong(
    client: Asker, path: str, headers: dict[str, str]
) -> None:
    answer = client.get(path, headers=headers)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert "server" not in answer.headers


# ---- what is on the page -------------------------------------------------------------------------


def test_page_needs_nothing_inline_and_nothing_from_elsewhere(client: Asker) -> None:
    text = client.get("/", headers=BEARER).text
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:", text) == []
    assert re.findall(r"<script(?! src=\"/assets/page.js\" defer></script>)", text) == []
    links = re.findall(r"(?:src|href|action)=\"([^\"]*)\"", text)
    assert links and all(
        link.startswith(("/", "#")) and not link.startswith("//") for link in links
    )
    for name in ("page.css", "page.js", "icon.svg"):
        asset = client.get(f"/assets/{name}")
        assert asset.status_code == 200
        assert re.findall(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", asset.text) == []
    assert client.get("/assets/program.py").status_code == 404
    assert client.get("/assets/..%2Fapp.py").status_code == 404


def test_page_tells_who_serves_what_left_and_what_is_signed(
    client: Asker, site: WatchedSite
) -> None:
    with site.up():
        text = " ".join(client.get("/", headers=BEARER).text.split())
    assert "serves term 31" in text
    assert "1 answer, 3.90 MB" in text
    assert "All 30 records: links valid, and signed by a quorum." in text
    assert "Page 1 of 2" in text


def test_ledger_is_paged(client: Asker) -> None:
    def terms(query: str) -> list[int]:
        text = client.get(f"/{query}", headers=BEARER).text
        ledger = text.partition('id="ledger"')[2].partition("</table>")[0]
        return [
            int(each) for each in re.findall(r'<th scope="row" class="number">(\d+)</th>', ledger)
        ]

    assert terms("") == list(range(30, 10, -1))
    assert terms("?page=2") == list(range(10, 0, -1))
    assert terms("?page=999999") == terms("?page=2")
    for strange in ("0", "-1", "x", "٢", "9" * 400, "<b>"):
        assert terms(f"?page={strange}") == terms("")


def test_markup_in_what_others_say_is_shown_as_text(tmp_path: Path) -> None:
    """A hostile vendor's name, code, or error text in ledger and logs runs nothing."""
    vendors = ("aster", MARKUP, "cygnus")
    federation = Federation(vendors)
    absence = Absence(vendor=MARKUP, phase=MARKUP, code=MARKUP)
    federation.add(4, absences=(absence,))
    federation.add(1, absences=(absence,), ended=MARKUP)
    site = WatchedSite(tmp_path / "site", federation)
    site.note(MARKUP, vendor=MARKUP, outcome=MARKUP, term=5)
    site.note(MARKUP, vendor=MARKUP, fields=[MARKUP], sent=1, term=5)
    site.append("logs/launcher.jsonl", {"time": 1.0, "event": "failed", "problem": MARKUP})
    site.append("logs/refusals.jsonl", {"time": 1.0, "event": "bundle-refused", "peer": MARKUP})
    about = {"code": MARKUP, "about": MARKUP, "finding": f"`{MARKUP}`", "mend": MARKUP}
    keep_diagnosis(site.folder / "state", diagnosis(Line(severity="error", **about)))
    watcher = Watcher(site.config(name=MARKUP, metric_title=MARKUP))
    watcher.look_at_all()
    client = Asker(page_app(watcher, TOKEN), HOST)
    text = client.get("/", headers=BEARER).text
    metrics = client.get("/metrics", headers=BEARER)
    assert text.count("&lt;script&gt;alert(1)") > 10
    assert "<script>alert" not in text and "<img" not in text
    assert re.findall(r"<script[^>]*>", text) == ['<script src="/assets/page.js" defer>']
    assert metrics.status_code == 200 and "\n<script" not in metrics.text


def test_page_shows_what_the_doctor_has_kept(tmp_path: Path) -> None:
    site = WatchedSite(tmp_path / "site", Federation())
    found = diagnosis(
        Line(code="data.path", severity="error", finding="not there", mend="correct `data`"),
        Line(code="clock.peers", severity="warning", about="draco", finding="9 s off"),
        Line(code="site.file", severity="ok", finding="valid"),
    )
    keep_diagnosis(site.folder / "state", found)
    watcher = Watcher(site.config())
    assert watcher.look_at_all().doctor == found
    client = Asker(page_app(watcher, TOKEN), HOST)
    text = " ".join(client.get("/", headers=BEARER).text.split())
    assert "1 ok, 1 warning, 1 error." in text
    assert "not there" in text and "To mend it: correct <code>data</code>" in text
    assert "draco: 9 s off" in text and "valid" not in text.partition('id="health"')[2]
    metrics = client.get("/metrics", headers=BEARER).text
    assert 'srflm_doctor_lines{level="error"} 1.0' in metrics


STRANGE = (
    *("[]", "7", "null", '"text"', "{}", "not json", "[" * 100_000, "\x00"),
    *('{"time": "now"}', '{"time": null, "type": 3}', '{"time": 1e999}'),
    '{"time": 1e300, "type": "train.local", "outcome": "done", "term": 31}',
    '{"outcome": [1], "vendor": {"a": 1}, "term": "x"}',
    '{"fields": {"a": 1}, "sent": "many", "outcome": "done", "term": 31}',
    '{"fields": [["a"]], "outcome": "done", "term": 31, "time": -1}',
    '{"t": 1, "key_owner": {}, "to": [], "st": "x", "in": "1", "out": -1.5}',
)


@pytest.mark.parametrize("line", STRANGE, ids=lambda line: str(line)[:24])
def test_strange_lines_in_logs_hurt_nobody(site: WatchedSite, line: str) -> None:
    for name in ("state/audit.jsonl", "logs/events.jsonl", "logs/launcher.jsonl"):
        with (site.folder / name).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    for way in ("in", "out"):
        with (site.folder / f"run/edge/logs/{way}.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    watcher = Watcher(site.config())
    watcher.look_at_all()
    client = Asker(page_app(watcher, TOKEN), HOST)
    assert client.get("/", headers=BEARER).status_code == 200
    assert client.get("/metrics", headers=BEARER).status_code == 200


def test_site_that_was_never_up_has_a_page(tmp_path: Path) -> None:
    site = WatchedSite(tmp_path / "site", Federation(("aster", "borealis")))
    site.ledger.unlink()
    client = Asker(page_app(Watcher(site.config()), TOKEN), HOST)
    text = client.get("/", headers=BEARER).text
    assert "This site is down" in text and "No term is committed yet." in text
    assert not site.ledger.exists(), "a look makes no file"


def test_ledger_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    site = WatchedSite(tmp_path / "site", Federation(("aster", "borealis")))
    site.ledger.write_bytes(b"no database" * 1000)
    client = Asker(page_app(Watcher(site.config()), TOKEN), HOST)
    assert "The ledger cannot be read at the moment." in client.get("/", headers=BEARER).text
    assert "srflm_ledger_valid 0.0" in client.get("/metrics", headers=BEARER).text


# ---- pictures of cases ---------------------------------------------------------------------------


def test_pictures_of_cases_are_behind_the_token_and_run_nothing(
    client: Asker, site: WatchedSite
) -> None:
    assert client.get("/cases", headers=BEARER).status_code == 404
    (site.folder / "state" / "cases.html").write_text("<p>pictures")
    answer = client.get("/cases", headers=BEARER)
    assert answer.text == "<p>pictures"
    policy = answer.headers["content-security-policy"]
    assert "script-src" not in policy and "default-src 'none'" in policy and "sandbox" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert client.get("/cases").status_code == 401
