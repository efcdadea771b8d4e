"""What stays of a line is known to be harmless, whatever else is in it."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from deploy.operating.support import allowed
from deploy.operating.support.log_lines import LogLine
from deploy.operating.support.scrubbing import LEFT_OUT, SOMEBODY, Scrubber

ROOT = Path(__file__).parents[4]
SCRUBBER = Scrubber("borealis", ("aster", "borealis", "cygnus"))
# How the code calls an observer or a log of events.
CALLERS = {"log", "observer", "refusals", "_log", "_observer"}
TEXT_PARTS = {*allowed.KNOWN_CODES, *allowed.EXCEPTIONS, *allowed.PHRASES}


def scrubbed(text: str) -> dict[str, object]:
    [found] = SCRUBBER.lines([LogLine("worker.log", 0.0, text, dated=False)])
    return found


def test_vendors_are_named_by_their_place() -> None:
    names = [SCRUBBER.name(each) for each in ("borealis", "aster", "cygnus", "charite-berlin")]
    assert names == ["this-site", "vendor-1", "vendor-3", SOMEBODY]
    assert SCRUBBER.file("supernode-cygnus.log") == "supernode-vendor-3.log"
    assert SCRUBBER.file("supernode-mueller.log") == f"supernode-{SOMEBODY}.log"
    assert SCRUBBER.file("mueller.log") is None
    assert SCRUBBER.file("edge/in.jsonl") == "edge/in.jsonl"


def test_what_support_needs_stays() -> None:
    event = {"event": "served", "term": 7, "result": "failed", "code": "SRFLM-F1", "seconds": 2.5}
    assert SCRUBBER.event(event) == event
    reply = {"event": "reply", "phase": "train", "vendor": "cygnus", "status": "done", "loss": 0.1}
    assert SCRUBBER.event(reply) == {
        "event": "reply",
        "phase": "train",
        "vendor": "vendor-3",
        "status": "done",
    }
    failed = "SRFLM-D2: [SRFLM-D2] found: /data/mueller.dcm, which is no image (FileNotFoundError)"
    assert SCRUBBER.event({"problem": failed}) == {"problem": "SRFLM-D2; FileNotFoundError"}


def test_lines_of_nginx_keep_their_kind() -> None:
    line = (
        "[error] 23634#23634: *1 connect() failed (111: Connection refused) while connecting to"
        ' upstream, client: 10.1.2.3, request: "POST /v1/fleet/get-run", upstream: "https://x"'
    )
    text = "connect() failed; Connection refused; errno 111"
    assert scrubbed(line) == {"level": "error", "text": text}


def test_stack_traces_keep_the_places_in_known_code() -> None:
    packages = "/opt/mueller/.venv/lib/python3.11/site-packages"
    app = "/srv/st-mary/run/flower/apps/srflm.srflm-flower.0.1.0.8a49c952"
    for place, kept in (
        (f"{packages}/torch/nn/modules/conv.py", "torch/nn/modules/conv.py:7"),
        (f"{app}/srflm_flower/client_app.py", "srflm_flower/client_app.py:7"),
        ("/usr/lib/python3.11/threading.py", "python/threading.py:7"),
    ):
        assert scrubbed(f'  File "{place}", line 7, in forward') == {"text": kept}
    for place in (
        "/home/mueller/torch/readers.py",
        f"{packages}/st_mary_networks/net.py",
        "/home/mueller/lib/python3.11/mueller/net.py",
        "/srv/clients/mueller.py",
    ):
        assert scrubbed(f'  File "{place}", line 7, in ValueError') == {LEFT_OUT: 1}, place


@given(st.text())
def test_no_other_text_stays(text: str) -> None:
    for form in (
        text,
        f"ValueError: {text}",
        f"[SRFLM-F1] found: {text}",
        f'File "{text}", line 3',
    ):
        kept = str(scrubbed(form).get("text", ""))
        parts = {part for part in kept.split("; ") if part} - TEXT_PARTS
        assert all(re.fullmatch(r"errno \d{1,3}", part) for part in parts), parts


NAMES = st.sampled_from(
    [*allowed.WORDS, *allowed.NUMBERS, *allowed.VENDORS, *allowed.CODES, *allowed.TEXTS]
)
PLAIN = st.none() | st.booleans() | st.floats() | st.just(10**400) | st.text()
JSON = st.recursive(PLAIN, lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=5)


@given(st.dictionaries(NAMES | st.text(), JSON))
def test_no_other_field_stays(event: dict[str, object]) -> None:
    words = {word for each in allowed.WORDS.values() for word in each}
    names = {"this-site", "vendor-1", "vendor-3", SOMEBODY}
    for key, value in SCRUBBER.event(event).items():
        assert key in {*allowed.WORDS, *allowed.NUMBERS, *allowed.VENDORS, *allowed.CODES} | (
            allowed.TEXTS
        )
        if isinstance(value, str) and key not in allowed.TEXTS:
            assert value in {*words, *names, *allowed.KNOWN_CODES}
        assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_every_event_that_the_code_logs_is_known() -> None:
    """Else support would see a line without the name of its event."""
    logged = set()
    for package in ("strategies", "srflm_flower", "deploy"):
        for path in (ROOT / package).rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(call, ast.Call) or not call.args:
                    continue
                name, first = ast.unparse(call.func).rpartition(".")[2], call.args[0]
                if name in CALLERS and isinstance(first, ast.Constant):
                    logged.add(str(first.value))
    events = {each for each in logged if re.fullmatch(r"[a-z-]+", each)}
    assert len(events) > 20
    assert events <= allowed.EVENTS
