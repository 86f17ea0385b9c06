"""What a command needs of Prefect: a server, announced before it is waited for, and none of Prefect's own talk.

Prefect's background threads tell their troubles on stderr, also while the process ends; here they go into a file of
the state folder, unless somebody asked for Prefect's lines with PREFECT_LOGGING_LEVEL.
"""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, TextIO

import click

from coopr_core.folders import make_folder, private

if TYPE_CHECKING:
    from flows.server import ServerInfo

LOG = "prefect-client.log"
LOG_LIMIT = 5_000_000
"""Bytes after which the file is put aside."""


def use_server(*, told: Literal["all", "start", "nothing"] = "all") -> ServerInfo:
    """Return the Prefect server to use, started if need be; this process is set up to talk to it.

    ``told`` says what of it is told on stderr: which server is used, only that one has to be started, or nothing.
    """
    from deployments.server import configure_prefect, ensure_server, server_status

    if told != "nothing":
        before = server_status()
        if before.managed and not before.running:
            verb = "Waiting for the" if before.pid else "Starting a"
            click.echo(f"{verb} Prefect server, which takes some seconds ...", err=True)
    server = ensure_server()
    if told == "all":
        click.echo(f"{'Started' if server.started else 'Using'} Prefect server {server.ui_url}", err=True)
    if server.warning and told != "nothing":
        click.secho("Warning: ", nl=False, err=True, fg="yellow")
        click.echo(server.warning, err=True)
    configure_prefect(server)
    return server


def put_talk_aside() -> None:
    """Send what Prefect and its threads would print to the file; imports Prefect, which says what it will print to."""
    import prefect.main  # noqa: F401 - importing it sets up its logging

    if _asked_for(os.environ.get("PREFECT_LOGGING_LEVEL", "")):
        return
    aside = _aside()
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in logging.root.manager.loggerDict)]
    for logger in loggers:
        for handler in [handler for handler in logger.handlers if _on_terminal(handler)]:
            logger.removeHandler(handler)
            if aside not in logger.handlers:
                logger.addHandler(aside)
    logging.captureWarnings(True)
    logging.raiseExceptions = False
    threading.excepthook = _thread_failed
    sys.unraisablehook = _ignored


@contextlib.contextmanager
def interrupts_told(does: str = "ending what runs, then saving how it stands") -> Iterator[None]:
    """Say at once that Ctrl-C was understood, and what it ``does``: something has to be ended first."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
        yield
        return
    count = 0

    def tell(number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count == 1:
            _say(f"Interrupted: {does}. Once more: do not wait.\n")
        elif count == 2:
            _say("Interrupted again: not waiting any longer.\n")
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, tell)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _say(text: str) -> None:
    """Write to stderr past its buffer: the signal may have come while this very thread was writing to it."""
    try:
        os.write(sys.stderr.fileno(), text.encode())
    except (OSError, ValueError):  # closed, or replaced by something that is no file
        click.echo(text, nl=False, err=True)


class _Aside(logging.handlers.RotatingFileHandler):
    """The file; made when there is something to write, and its own failures are nobody's business."""

    def _open(self) -> Any:
        path = Path(self.baseFilename)
        make_folder(path.parent)
        return open(path, "a", encoding="utf-8", errors="replace", opener=private)

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: a full disk must not make a command fail that only wanted to say so."""


_handlers: dict[Path, _Aside] = {}


def _aside() -> _Aside:
    from coopr_core.settings import load_settings

    path = load_settings().state_dir / "logs" / LOG
    if path not in _handlers:
        handler = _Aside(path, maxBytes=LOG_LIMIT, backupCount=1, delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
        _handlers[path] = handler
    return _handlers[path]


def _asked_for(level: str) -> bool:
    number = logging.getLevelNamesMapping().get(level.upper(), logging.WARNING)
    return number < logging.WARNING


def _on_terminal(handler: logging.Handler) -> bool:
    stream: TextIO | None = getattr(handler, "stream", None)
    return isinstance(handler, logging.StreamHandler) and stream in (sys.stdout, sys.stderr, sys.__stderr__)


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_type is not SystemExit and failure.exc_value is not None:
        name = failure.thread.name if failure.thread else "a thread"
        info = (failure.exc_type, failure.exc_value, failure.exc_traceback)
        logging.getLogger("threads").error("%s failed", name, exc_info=info)


def _ignored(failure: sys.UnraisableHookArgs) -> None:
    if failure.exc_value is not None:
        info = (failure.exc_type, failure.exc_value, failure.exc_traceback)
        logging.getLogger("threads").error("%s: %r", failure.err_msg or "ignored in", failure.object, exc_info=info)
