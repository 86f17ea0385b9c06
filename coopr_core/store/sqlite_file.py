"""Reading a SQLite file where nothing can be written: a full disk, a file system or folder that is read only.

SQLite needs room beside a file to read it while others may write. Where there is none the file is read as it lies,
which is right as long as nothing waits in its write-ahead log; otherwise from a copy of both, wherever there is room.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote


def lying_file(path: Path) -> tuple[str, tempfile.TemporaryDirectory[str] | None]:
    """The URI that SQLite reads the file by, and the folder of the copy, if one was needed, to be cleaned up.

    Raises ``OSError`` when there is no room for the copy anywhere either.
    """
    log = path.with_name(path.name + "-wal")
    if not log.exists() or not log.stat().st_size:
        return f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", None
    folder = tempfile.TemporaryDirectory(prefix="coopr-")
    try:
        for each in (path, log):
            shutil.copyfile(each, Path(folder.name) / each.name)
    except OSError:
        folder.cleanup()
        raise
    return f"file:{quote(str(Path(folder.name) / path.name))}", folder
