"""Constant load on a page, for tests of what must not lose a request.

A visitor does as browsers and proxies do (RFC 9112, 9.3.1): a page whose connection was closed before a byte of the
answer came is asked for once more, since nobody may have read the request. Whatever else goes wrong is a failure.
"""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.request


def fetch(url: str, timeout: float = 10) -> str:
    """A page, past any proxy. Raises ``OSError`` for everything that is not one."""
    with _asked(url, timeout) as answer:
        return answer.read().decode()


def title_of(page: str) -> str:
    """A page's title, which names the server that made it."""
    return page.partition("<title>")[2].partition("</title>")[0]


def _asked(url: str, timeout: float) -> http.client.HTTPResponse:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    answer: http.client.HTTPResponse = opener.open(url, timeout=timeout)
    return answer


def _is_unread(error: OSError) -> bool:
    """Whether the connection was closed before a byte of the answer came."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(reason, ConnectionResetError | BrokenPipeError)  # RemoteDisconnected is one


class Visitors:
    """Threads that fetch the webapp's page again and again while entered.

    ``answers`` are when and by which server, ``failures`` the answers that were none, ``repeated`` how many pages were
    asked for once more.
    """

    def __init__(self, url: str, count: int = 4) -> None:
        self.answers: list[tuple[float, str]] = []
        self.failures: list[str] = []
        self.repeated = 0
        self._url = url
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _ in range(count)]

    def servers_since(self, when: float) -> set[str]:
        """The servers that answered after a time of the monotonic clock."""
        return {server for time_, server in self.answers if time_ > when}

    def _page(self) -> str:
        try:
            answer = _asked(self._url, 30)
        except OSError as error:
            if not _is_unread(error):
                raise
            self.repeated += 1
            answer = _asked(self._url, 30)
        with answer:
            return answer.read().decode()

    def _visit(self) -> None:
        while not self._over.wait(0.01):
            try:
                page = self._page()
            except (OSError, http.client.HTTPException) as error:
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
