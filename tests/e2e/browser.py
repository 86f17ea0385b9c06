"""A headless browser, driven as its user would: opens a page, logs in where it is asked to, and reads what is shown."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

_OPTIONS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1600,900",
    "--remote-debugging-port=0",
)


class Page:
    """One page; the browser's own protocol, see https://chromedevtools.github.io/devtools-protocol/."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._session = ""
        target = self._do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def open(self, url: str) -> None:
        self._do("Page.navigate", url=url)

    def login(self, url: str, password: str) -> None:
        """Open the UI, type the password into the field that asks for it, press Enter, and be let in."""
        self.open(url)
        self._until("document.querySelector('input[placeholder=\"admin:pass\"]') !== null", "the login form")
        self._evaluate("document.querySelector('input[placeholder=\"admin:pass\"]').focus()")
        self._do("Input.insertText", text=password)
        for kind in ("keyDown", "keyUp"):
            self._do("Input.dispatchKeyEvent", type=kind, key="Enter", windowsVirtualKeyCode=13, text="\r")
        self.text("Logout")

    def text(self, *wanted: str) -> str:
        """What the page shows, once all that is wanted is there."""
        for each in wanted:
            self._until(f"document.body.textContent.includes({json.dumps(each)})", repr(each))
        return str(self._evaluate("document.body.innerText"))

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._do("Page.captureScreenshot")["data"]))

    def _until(self, condition: str, what: str) -> None:
        deadline = time.monotonic() + 90
        while not self._evaluate(condition):
            assert time.monotonic() < deadline, f"{what} did not appear in: {self.text()}"
            time.sleep(0.2)

    def _evaluate(self, expression: str) -> Any:
        return self._do("Runtime.evaluate", expression=expression)["result"].get("value")

    def _do(self, method: str, **parameters: Any) -> Any:
        number = next(self._ids)
        session = {"sessionId": self._session} if self._session else {}
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters, **session}))
        while True:
            answer = json.loads(self._socket.recv(timeout=90))
            if answer.get("id") == number:
                return answer["result"]


@contextlib.contextmanager
def browsing() -> Iterator[Page]:
    """A browser that nobody has used before."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium installed")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, *_OPTIONS, *sandbox, f"--user-data-dir={profile}", "about:blank"]
        quiet = subprocess.DEVNULL
        browser = subprocess.Popen(command, stdout=quiet, stderr=quiet, env={**os.environ, "TMPDIR": profile})
        try:
            with connect(_address(Path(profile)), proxy=None, max_size=None) as socket:
                yield Page(socket)
        finally:
            browser.terminate()
            browser.wait(30)


def _address(profile: Path) -> str:
    """Where the browser listens, which it writes down when it does."""
    deadline = time.monotonic() + 90
    while True:
        with contextlib.suppress(FileNotFoundError, ValueError):
            port, path = (profile / "DevToolsActivePort").read_text().split("\n")
            return f"ws://127.0.0.1:{port}{path}"
        assert time.monotonic() < deadline, "the browser does not start"
        time.sleep(0.1)
