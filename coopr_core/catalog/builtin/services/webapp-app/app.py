#!/usr/bin/env python3
"""The example application: a page that says which server answered and how often all of them did.

    GET /          the page; every visit is counted in the database
    GET /visits    the counters as JSON, not counting
    GET /healthz   200 while the database answers and the server is not about to end, else 503

Told to end (SIGTERM) it loses no request: it first lets the balancer's health check see that it goes, then closes its
port, and ends when the requests it has begun are answered.

Settings come from the JSON file named on the command line. One thread per connection, a few database connections shared
by all of them; one that broke is replaced at the next request.
"""

from __future__ import annotations

import html
import json
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pg8000.dbapi

LEAVE_S = 3.0
"""How long to wait, at most, for a health check to see that the server is about to end."""

SEEN_S = 0.5
"""How long the balancer may take to act on that health check."""

FINISH_S = 20.0
"""How long the requests that were begun may take to end."""

COUNT = "INSERT INTO visits AS v (server, count) VALUES (%s, 1) ON CONFLICT (server) DO UPDATE SET count = v.count + 1"
PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Hello from {server}</title>
<style>body {{ font: 18px/1.5 system-ui, sans-serif; max-width: 38em; margin: 4em auto; padding: 0 1em }}
table {{ border-collapse: collapse }} td, th {{ padding: .2em 1.5em .2em 0; text-align: left }}</style>
<h1>Hello from {server}</h1>
<p>Visit number <strong>{total}</strong> to this cluster.</p>
<table><tr><th>application server</th><th>visits</th></tr>
{rows}
</table>
</html>
"""


class Visits:
    """The counters in the database."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings["database"]
        self._source = (settings["address"], 0)
        self._places: queue.Queue[Any] = queue.Queue()
        for _ in range(settings["connections"]):
            self._places.put(None)

    def count(self, server: str) -> dict[str, int]:
        """Count one visit to ``server`` and return all counters."""
        with self._cursor() as cursor:
            cursor.execute(COUNT, (server,))
            return self._counters(cursor)

    def all(self) -> dict[str, int]:
        """Visits by server, in name order."""
        with self._cursor() as cursor:
            return self._counters(cursor)

    def _counters(self, cursor: Any) -> dict[str, int]:
        cursor.execute("SELECT server, count FROM visits ORDER BY server")
        return dict(cursor.fetchall())

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        """A cursor in a transaction of its own, on a connection that is nobody else's for so long."""
        connection = self._places.get(timeout=10)
        try:
            if connection is None:
                connection = pg8000.dbapi.connect(**self._settings, timeout=5, source_address=self._source)
            yield connection.cursor()
            connection.commit()
        except BaseException:
            if connection is not None:
                _close(connection)
            connection = None
            raise
        finally:
            self._places.put(connection)


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    server: Application

    def do_GET(self) -> None:
        """Serve the page, the counters or the health."""
        with self.server.request():
            self._serve(self.path.partition("?")[0])

    def _serve(self, path: str) -> None:
        try:
            if path == "/":
                self._answer(200, self._page(), "text/html; charset=utf-8")
            elif path == "/visits":
                self._answer(200, json.dumps(self.server.visits.all()), "application/json")
            elif path == "/healthz" and self.server.leaving.is_set():
                self._answer(503, "about to end\n", "text/plain")
                self.server.seen.set()
            elif path == "/healthz":
                self.server.visits.all()
                self._answer(200, "ok\n", "text/plain")
            else:
                self._answer(404, "not found\n", "text/plain")
        except (pg8000.dbapi.Error, OSError, queue.Empty) as error:
            self.log_error("database: %s", error)
            self._answer(503, "the database does not answer\n", "text/plain")

    def _page(self) -> str:
        visits = self.server.visits.count(self.server.host)
        rows = "\n".join(f"<tr><td>{html.escape(name)}</td><td>{count}</td></tr>" for name, count in visits.items())
        return PAGE.format(server=html.escape(self.server.host), total=sum(visits.values()), rows=rows)

    def _answer(self, status: int, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Served-By", self.server.host)
        if self.server.leaving.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Leave requests to the balancer's access log."""


class Application(ThreadingHTTPServer):
    """The server and what its handlers share."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, settings: dict[str, Any]) -> None:
        self.host: str = settings["host"]
        self.visits = Visits(settings)
        self.leaving = threading.Event()
        self.seen = threading.Event()
        self._requests = 0
        self._fewer = threading.Condition()
        super().__init__((settings["address"], settings["port"]), Handler)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request as begun while entered."""
        with self._fewer:
            self._requests += 1
        try:
            yield
        finally:
            with self._fewer:
                self._requests -= 1
                self._fewer.notify_all()

    def leave(self) -> None:
        """End without losing a request; returns when the port is closed and what was begun is answered."""
        self.leaving.set()
        if self.seen.wait(LEAVE_S):
            time.sleep(SEEN_S)
        self.shutdown()
        self.server_close()
        with self._fewer:
            self._fewer.wait_for(lambda: self._requests == 0, FINISH_S)


def _close(connection: Any) -> None:
    with suppress(pg8000.dbapi.Error, OSError):
        connection.close()


def main() -> None:
    """Serve until told to end."""
    application = Application(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    leaving = threading.Thread(target=application.leave)

    def leave(*_: object) -> None:
        if leaving.ident is None:
            leaving.start()

    signal.signal(signal.SIGTERM, leave)
    application.serve_forever(poll_interval=0.1)
    leaving.join()


if __name__ == "__main__":
    main()
