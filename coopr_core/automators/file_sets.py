"""Files that travel to nodes together: a service's, or the commands that scripts use; known by what is in them."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self


@dataclass(frozen=True)
class FileSet:
    """Files by path below the folder ``name``, with content and mode."""

    name: str
    files: Mapping[str, tuple[bytes, int]]

    @classmethod
    def of_texts(cls, name: str, texts: Mapping[str, str]) -> Self:
        """Return the set of these texts; those that begin with ``#!`` may be executed."""
        return cls(
            name,
            {
                path: (text.encode("utf-8", "surrogatepass"), 0o755 if text.startswith("#!") else 0o644)
                for path, text in texts.items()
            },
        )

    @cached_property
    def version(self) -> str:
        """The same for the same files, another for others."""
        sha = hashlib.sha256()
        for path, (content, mode) in sorted(self.files.items()):
            sha.update(f"{len(path)} {len(content)} {mode} {path}".encode("utf-8", "surrogatepass"))
            sha.update(content)
        return sha.hexdigest()


def packed(sets: Iterable[FileSet]) -> bytes:
    """Return a compressed tar archive of the sets, each below its name."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=6) as tar:
        for each in sets:
            for path, (content, mode) in sorted(each.files.items()):
                entry = tarfile.TarInfo(f"{each.name}/{path}" if each.name else path)
                entry.size, entry.mode = len(content), mode
                tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()
