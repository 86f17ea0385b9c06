"""Where the server starts: alone, detached from who started it, and ready before that one goes on.

Promise: the starter reads ``ready`` or the reason why not; a second server for the same state folder does not start.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import logging.handlers
import os
import signal
import sys
import time
from pathlib import Path

_LOCK_PATIENCE = 20.0
_LOG_BYTES = 1_000_000


def main(state_dir: str) -> int:
    """Serve the nodes of ``state_dir`` until there are none left."""
    if os.fork():
        os._exit(0)
    os.umask(0o077)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):  # a background job or nohup may have started us
        signal.signal(number, signal.SIG_DFL)
    if os.geteuid() == 0:
        os.setgroups([])

    from coopr_core.errors import CooprError
    from coopr_core.providers.local.control import READY
    from coopr_core.providers.local.records import NodeFolders

    folders = NodeFolders(Path(state_dir))
    _log_to(folders.log)
    lock = os.open(folders.server_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                _tell("another server of this state folder runs, but does not answer")
                return 1
            time.sleep(0.02)

    from coopr_core.providers.local.server.serving import NodeServer

    try:
        NodeServer(folders).run(started=lambda: _tell(READY))
    except CooprError as error:
        _tell(error.message)
        logging.getLogger(__name__).exception("the server ends")
        return 1
    except Exception as error:
        _tell(f"{type(error).__name__}: {error}")
        logging.getLogger(__name__).exception("the server ends")
        return 1
    return 0


def _log_to(path: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # At INFO level asyncssh writes every command, and a command may hold a secret.
    logging.getLogger("asyncssh").setLevel(logging.WARNING)


def _tell(text: str) -> None:
    """Say one thing to the starter, who waits for the end of this output."""
    with contextlib.suppress(OSError):
        os.write(1, text.encode())
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
