"""A headless Chromium that is driven by its own protocol (CDP), with a profile of its own."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.support.waiting import wait_until

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--headless=new", "--remote-debugging-port=0", "--no-first-run", "--disable-gpu"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-default-apps", "--disable-extensions", "--no-default-browser-check"),
    *("--disable-dev-shm-usage", "--force-color-profile=srgb", "--hide-scrollbars"),
)
PATIENCE = 120.0


def find_browser() -> str | None:
    """Return the path of a Chromium, or None."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Tab:
    """One tab; ``requested`` has every address that it has asked for."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._last = socket, 0
        self.requested: list[str] = []
        self.loads = 0
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE))
            if message.get("id") == self._last:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression; a promise is waited for."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def open(self, address: str) -> None:
        """Open an address and wait until all of it is loaded."""
        self.call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete' && location.protocol === 'http:'")

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        wait_until(lambda: bool(self.run(condition)), condition, PATIENCE)

    def look(self, width: int, height: int, dark: bool = False, phone: bool = False) -> None:
        """Set the size of the window, and the colours that its user likes."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def photograph(self, path: Path, whole: bool = True) -> None:
        """Write a picture of the page."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Network.requestWillBeSent":
            self.requested.append(message["params"]["request"]["url"])
        if message.get("method") == "Page.loadEventFired":
            self.loads += 1


@contextmanager
def browser_tab(program: str) -> Iterator[Tab]:
    """Give a tab of a new browser, which ends with the block."""
    root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with tempfile.TemporaryDirectory(prefix="tab-", ignore_cleanup_errors=True) as profile:
        command = [program, *OPTIONS, *root, f"--user-data-dir={profile}", "about:blank"]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with connect(_address(Path(profile), child), max_size=2**28) as socket:
                yield Tab(socket)
        finally:
            child.terminate()
            child.wait(PATIENCE)


def _address(profile: Path, child: subprocess.Popen[bytes]) -> str:
    """Return where the protocol of the browser's first tab is."""
    note = profile / "DevToolsActivePort"
    wait_until(lambda: note.exists() and "\n" in note.read_text(), "no browser", PATIENCE)
    assert child.poll() is None
    port = int(note.read_text().splitlines()[0])
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for each in httpx.get(f"http://127.0.0.1:{port}/json/list", trust_env=False).json():
            if each["type"] == "page":
                return str(each["webSocketDebuggerUrl"])
    raise AssertionError("a browser without a tab")
