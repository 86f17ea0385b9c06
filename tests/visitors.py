"""Constant load on a page, for tests of what must not lose a request."""

from __future__ import annotations

import threading
import time
import urllib.request


def fetch(url: str, timeout: float = 10) -> str:
    """A page, past any proxy. Raises ``OSError`` for everything that is not one."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=timeout) as answer:
        text: str = answer.read().decode()
    return text


class Visitors:
    """Threads that fetch the webapp's page again and again while entered.

    ``answers`` are when and by which server, ``failures`` the answers that were none.
    """

    def __init__(self, url: str, count: int = 4) -> None:
        self.answers: list[tuple[float, str]] = []
        self.failures: list[str] = []
        self._url = url
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _ in range(count)]

    def servers_since(self, when: float) -> set[str]:
        """The servers that answered after a time of the monotonic clock."""
        return {server for time_, server in self.answers if time_ > when}

    def _visit(self) -> None:
        while not self._over.wait(0.01):
            try:
                page = fetch(self._url, timeout=30)
            except OSError as error:
                self.failures.append(f"{time.monotonic():.1f} {error}")
            else:
                self.answers.append((time.monotonic(), page.partition("Hello from ")[2].partition("<")[0]))

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
