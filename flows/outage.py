"""What becomes of a job when its Prefect server goes away: ours is started again, another's is waited for a while.

Promise: when the server is gone for good nothing new starts, what runs on the nodes comes to its end and is recorded,
the job can be resumed, and all of that is told in one message: within a minute, or when ours does not come up again.
Costs a look every two seconds.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator

import httpx

from coopr_core.errors import CooprError, Unreachable
from flows.server import revive_server, server_status, without_password

GONE_SECONDS = 30.0
"""After how long without an answer another's server counts as gone."""

HUNG_SECONDS = 180.0
"""After how long ours does, whose process lives and may only be very busy."""

REVIVE_SECONDS = 180.0
"""How long ours may take to come up again."""

_LOOK_SECONDS = 2.0


class ServerGone(Unreachable):
    """The Prefect server went away while a flow ran on it, and did not come back."""

    code = "server-gone"


def server_gone(reason: str) -> ServerGone:
    """Return the failure of what needed the server that this process talks to."""
    url = without_password(os.environ.get("PREFECT_API_URL", ""))
    return ServerGone(
        f"the Prefect server at {url} is gone: {reason}",
        hint="what ran is recorded; `coopr status` shows it, and `coopr retry CLUSTER` goes on when a server answers",
    )


class _Watch:
    """One look after the server that this process talks to, for all who want to hear that it is gone."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[ServerGone], None]] = []
        self.over = threading.Event()
        self.gone: ServerGone | None = None

    def tell(self, gone: ServerGone) -> None:
        """Let Prefect's clients give up, and everybody know why."""
        stop_asking()
        with _lock:
            self.gone = gone
            listeners = list(self.listeners)
        for listener in listeners:
            listener(gone)


_lock = threading.Lock()
_watch: _Watch | None = None


@contextlib.contextmanager
def watched(on_gone: Callable[[ServerGone], None] = lambda gone: None) -> Iterator[None]:
    """While inside, look after the server; ``on_gone`` is called, from another thread, when it is gone for good.

    Inside another watch it is the same one. A flow is watched to its very end: where its job is over before anybody has
    noticed, Prefect would try for minutes to record that.
    """
    global _watch
    with _lock:
        watch, began = _watch or _Watch(), _watch is None
        _watch = watch
        watch.listeners.append(on_gone)
    if began:
        threading.Thread(target=_look_after, args=(watch,), name="outage", daemon=True).start()
    elif watch.gone is not None:
        on_gone(watch.gone)
    try:
        yield
    finally:
        with _lock:
            watch.listeners.remove(on_gone)
            if not watch.listeners:
                watch.over.set()
                _watch = None


def told(error: httpx.HTTPError) -> CooprError:
    """Return what a flow failed of when Prefect could not record its end: its own failure if any, else the server."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, CooprError):
            return cause
        cause = cause.__context__
    return lost(error)


def lost(error: httpx.HTTPError) -> ServerGone:
    """Return the failure of what asked the server in vain, with the reason that the watch has found, if it has."""
    noticed = _watch.gone if _watch else None
    return noticed or server_gone(str(error) or type(error).__name__)


def stop_asking() -> None:
    """Let Prefect's clients in this process give up at the first failure, until the next flow begins.

    They would try for minutes. A try that is under way ends with an error of Prefect's own then, not of the connection.
    """
    from prefect.settings import get_current_settings

    get_current_settings().client.max_retries = 0


def _look_after(watch: _Watch) -> None:
    seen, patience = time.monotonic(), GONE_SECONDS
    while not watch.over.wait(_LOOK_SECONDS):
        reason = ""
        try:
            server = server_status()
            patience = HUNG_SECONDS if server.managed else GONE_SECONDS
            if server.running:
                seen = time.monotonic()
            elif server.managed and server.pid is None:
                reason = _revived()
                seen = time.monotonic()
        except CooprError as error:
            reason = error.message
        if time.monotonic() - seen > patience:
            reason = f"it has not answered for {patience:.0f} s"
        if reason and not watch.over.is_set():
            watch.tell(server_gone(reason))
            return


def _revived() -> str:
    """Start our server again where it was; why that is no help, if it is none."""
    url = os.environ.get("PREFECT_API_URL", "")
    server = revive_server(timeout=REVIVE_SECONDS)
    return "" if server.api_url == url else f"it was started again, but another has its port: it is at {server.api_url}"
