from __future__ import annotations

import importlib
import inspect
import io
import re
import shutil
import sys
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from flwr.supercore.run import Run, RunNotRunningException

from deploy.flower import internals as flower_internals
from deploy.flower import pins as flower_pins
from deploy.flower.bundle_guard import BundleGuard
from deploy.flower.control import Control
from deploy.flower.internals import RuntimeApi, bundle_of, guarded, install_bundle
from deploy.flower.nouns import FlowerTask, Hooks
from deploy.flower.pins import CONNECTION, SUPERNODE_LOOP, differences, require_supported
from deploy.simulation.private_superlink import free_port
from strategies.errors import ConfigurationError
from tests.support.warm_site import write_app


def source(module: str, name: str = "") -> str:
    found = importlib.import_module(module)
    return inspect.getsource(getattr(found, name) if name else found)


# --- pins -----------------------------------------------------------------------------------


def test_the_installed_flower_is_the_one_this_is_written_for() -> None:
    assert differences() == []
    require_supported()


@pytest.mark.parametrize("version", ["1.41.0", "1.43.0"])
def test_another_version_is_refused_by_name(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flower_pins.metadata, "version", lambda name: version)
    with pytest.raises(ConfigurationError, match=rf"flwr {re.escape(version)}.*pip install"):
        require_supported()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        (f"{SUPERNODE_LOOP}:_gone", ""),
        ("flwr.gone:run", ""),
        (f"{SUPERNODE_LOOP}:_push_messages", "a b"),
    ],
)
def test_what_is_missing_or_changed_is_named(
    name: str, parameters: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flower_pins, "EXPECTED", {name: parameters})
    assert [name in each for each in differences()] == [True]


def test_the_supernodes_loop_waits_in_three_places_only() -> None:
    waits = re.findall(r"\btime\.\w+\([^)]*\)", source(SUPERNODE_LOOP))
    assert sorted(waits) == ["time.sleep(0.5)", "time.sleep(0.5)", "time.sleep(3)"]


def test_the_supernode_checks_run_and_bundle_before_it_stores_or_reads_anything() -> None:
    text = source(SUPERNODE_LOOP, "_pull_and_store_message")
    order = ["get_run(run_id)\n", "get_fab(", "get_fused_config_from_fab", "store_run", "store_fab"]
    places = [text.index(each, text.index("run_info = get_run")) for each in order]
    assert places == sorted(places)
    assert "except RunNotRunningException:" in text


def test_the_connection_consists_of_what_is_expected_in_that_order() -> None:
    text = source("flwr.supernode.fleet_http_connection", "http_request_response")
    given = text[text.index("yield (") :].split(")")[0]
    assert [each.strip() for each in given.split("(")[1].split(",") if each.strip()] == [
        "node.node_id",
        *CONNECTION,
    ]


@pytest.mark.parametrize(
    "module", ["flwr.supernode.runtime.run_clientapp", "flwr.superlink.runtime.run_serverapp"]
)
def test_a_task_installs_its_bundle_before_it_reads_it(module: str) -> None:
    text = source(module)
    body = text[text.index("PullTaskInput(") :] if "server" in module else text
    assert (
        body.index("install_from_fab(fab.content") < body.index("get_project_dir(run")
        if ("client" in module)
        else body.index("install_from_fab(fab.content") < body.index("get_fab_metadata(fab.content")
    )


# --- the bundle -----------------------------------------------------------------------------


def test_same_folder_gives_the_same_bundle_on_every_machine(tmp_path: Path) -> None:
    app = write_app(tmp_path / "here")
    other = tmp_path / "there"
    shutil.copytree(app, other)
    (other / "pyproject.toml").touch()
    content, agreed = bundle_of(app)
    assert bundle_of(other) == (content, agreed)
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        entries = file.infolist()
    # Compressed bytes would depend on the machine's zlib, dates on when the files were copied.
    assert {each.compress_type for each in entries} == {zipfile.ZIP_STORED}
    assert len({each.date_time for each in entries}) == 1


def test_bundle_is_the_one_of_flwr_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flwr.cli.build import build

    app = write_app(tmp_path / "app")
    (tmp_path / "tiny_app.py").write_text("server = client = None")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # Flower looks whether the modules are there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        build(app)
    (built,) = tmp_path.glob("*.fab")
    assert built.read_bytes() == bundle_of(app)[0]


def test_changed_app_has_another_hash(tmp_path: Path) -> None:
    one, other = write_app(tmp_path / "one"), write_app(tmp_path / "other", version="1.0.1")
    assert bundle_of(one)[1] != bundle_of(other)[1]


def test_folder_without_an_app_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Flower app"):
        bundle_of(tmp_path)


def test_folder_with_another_bundle_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "home"))
    app = write_app(tmp_path / "app")
    with pytest.raises(flower_internals.BundleRefused):
        install_bundle(app, "0" * 64)
    assert not (tmp_path / "home" / "apps").exists()
    install_bundle(app, bundle_of(app)[1])
    assert len(list((tmp_path / "home" / "apps").iterdir())) == 1


# --- the guarded connection -----------------------------------------------------------------


class Peer:
    """A SuperLink as a SuperNode sees it, with one run and one bundle."""

    def __init__(self, content: bytes, said: str) -> None:
        self.content, self.said = content, said
        self.confirmed: list[str] = []
        self.asked: list[str] = []

    @contextmanager
    def connect(self, **options: Any) -> Iterator[tuple[Any, ...]]:
        def get_run(run_id: int) -> Run:
            self.asked.append("run")
            run = Run.create_empty(run_id)
            run.fab_id, run.fab_version, run.fab_hash = "us/tiny", "1.0.0", self.said
            return run

        def get_fab(name: str, run_id: int) -> Any:
            self.asked.append("fab")
            return SimpleNamespace(content=self.content, hash_str=self.said, verifications={})

        def confirm_message_received(run_id: int, message: str) -> None:
            self.confirmed.append(message)

        def receive() -> None: ...
        def send() -> None: ...
        def pull_object() -> None: ...
        def push_object() -> None: ...

        known = (receive, send, get_run, get_fab, pull_object, push_object)
        yield 7, *known, confirm_message_received


class Watched:
    def __init__(self, peer: Peer, agreed: str, note: Path | None = None) -> None:
        self.refusals: list[tuple[int, str]] = []
        self.rung = 0
        guard = BundleGuard(agreed, lambda run, found: self.refusals.append((run, found)))
        hooks = Hooks(self.ring, lambda: None, lambda: None)
        self.connect = guarded(peer.connect, guard, hooks, note)

    def ring(self) -> None:
        self.rung += 1


def test_agreed_run_passes_unchanged_and_a_message_rings_once_it_is_there(tmp_path: Path) -> None:
    content, agreed = bundle_of(write_app(tmp_path / "app"))
    peer = Peer(content, agreed)
    watched = Watched(peer, agreed)
    with watched.connect(authentication_keys=None) as (node, *calls):
        assert node == 7
        by_name = dict(zip(CONNECTION, calls, strict=True))
        assert by_name["get_run"](1).fab_hash == agreed
        assert by_name["get_fab"](agreed, 1).content == content
        assert watched.rung == 0
        by_name["confirm_message_received"](1, "m")
    assert (watched.rung, peer.confirmed, watched.refusals) == (1, ["m"], [])


def test_other_bundle_looks_to_the_supernode_like_a_run_that_has_ended(tmp_path: Path) -> None:
    _, agreed = bundle_of(write_app(tmp_path / "app"))
    peer = Peer(b"no zip at all: whoever parses this fails", agreed)
    watched = Watched(peer, agreed)
    with watched.connect(authentication_keys=None) as (_, *calls):
        by_name = dict(zip(CONNECTION, calls, strict=True))
        by_name["get_run"](1)
        with pytest.raises(RunNotRunningException):
            by_name["get_fab"](agreed, 1)
        with pytest.raises(RunNotRunningException):
            by_name["get_run"](1)
    assert len(watched.refusals) == 1
    assert peer.asked == ["run", "fab", "run"]


def test_another_connection_than_the_expected_one_is_not_used() -> None:
    @contextmanager
    def connect(**options: Any) -> Iterator[tuple[Any, ...]]:
        yield 7, *[lambda: None] * 7

    guard = BundleGuard("0" * 64, lambda run, found: None)
    hooks = Hooks(lambda: None, lambda: None, lambda: None)
    with (
        pytest.raises(RuntimeError, match="not the expected one"),
        guarded(connect, guard, hooks, None)(authentication_keys=None),
    ):
        pass


def test_supernode_leaves_a_note_of_its_node_for_the_one_that_follows(tmp_path: Path) -> None:
    note = tmp_path / "a"
    with Watched(Peer(b"", ""), "0" * 64, note).connect(authentication_keys=None):
        pass
    assert note.read_text() == "7"


def test_supernode_keeps_its_own_signals_names_and_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    loop: Any = importlib.import_module(SUPERNODE_LOOP)
    main: Any = importlib.import_module(flower_pins.SUPERNODE_MAIN)
    retries: Any = importlib.import_module(flower_pins.RETRIES)
    objects: Any = importlib.import_module(flower_pins.OBJECTS)
    for module, name in (
        (loop, "_init_connection"),
        (loop, "time"),
        (loop, "_push_messages"),
        (retries, "MAX_RETRY_DELAY"),
        (sys, "argv"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    for function in (objects.pull_objects, objects.pull_and_inflate_object_from_tree):
        monkeypatch.setattr(function, "__kwdefaults__", dict(function.__kwdefaults__))
    seen: list[object] = []
    monkeypatch.setattr(main, "flower_supernode", lambda: seen.append(list(sys.argv)))
    hooks = Hooks(lambda: None, lambda: seen.append("idle"), lambda: seen.append("waiting"))
    guard = BundleGuard("0" * 64, lambda run, found: None)
    flower_internals.run_supernode(["--port", "1"], guard, hooks)
    loop.time.sleep(3)
    assert seen == [["flower-supernode", "--port", "1"], "idle"]
    assert objects.pull_objects.__kwdefaults__["initial_backoff"] < 0.1


# --- tasks ----------------------------------------------------------------------------------


def test_address_that_does_not_answer_gives_no_task_and_says_why() -> None:
    api = RuntimeApi(f"127.0.0.1:{free_port()}", "client", None)
    assert api.acquire() is None
    assert "ConnectError" in api.problem
    api.close()


def test_token_of_a_task_is_not_printed() -> None:
    task = FlowerTask("client", 1, "0" * 64, "secret-token")
    assert "secret-token" not in repr(task)


def test_superlink_that_does_not_answer_is_an_http_error() -> None:
    control = Control(f"127.0.0.1:{free_port()}", None)
    with pytest.raises(httpx.ConnectError):
        control.runs()
