"""What a node must hold to run its services' scripts, in units that are only sent when they changed.

Below ``<root>/var/lib/coopr``: ``.coopr/bin`` has the commands scripts may use, ``.coopr/services/<service>`` the files
of a service (its scripts' current folder), ``.coopr/manifest`` the digest of each unit, and ``<service>`` is the folder
where a service keeps its own things. ``<root>/var/cache/coopr`` has the tasks' files, ``<root>/var/log/coopr`` what
processes say that an action left running; both are for their owner alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files

from coopr_core.catalog.entities import Service

Unit = Mapping[str, tuple[bytes, int]]
"""Files by path below the unit's folder, with their mode."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are on a node whose absolute paths live below ``root``."""

    root: str

    @property
    def library(self) -> str:
        """Where services and their scripts live."""
        return f"{self.root.rstrip('/')}/var/lib/coopr"

    @property
    def own(self) -> str:
        """What this automator keeps on the node."""
        return f"{self.library}/.coopr"

    @property
    def commands(self) -> str:
        """The folder that scripts have first in their PATH."""
        return f"{self.own}/bin"

    @property
    def tasks(self) -> str:
        """The tasks' files, for their owner alone."""
        return f"{self.root.rstrip('/')}/var/cache/coopr"

    def kept(self, service: str, action: str, task_id: str) -> str:
        """The file with the output of an action that left something running."""
        return f"{self.root.rstrip('/')}/var/log/coopr/{service}/{action}-{task_id}.log"

    def scripts(self, service: str) -> str:
        """The folder with a service's files."""
        return f"{self.own}/services/{service}"

    def data(self, service: str) -> str:
        """The folder where a service keeps its own things."""
        return f"{self.library}/{service}"


def units(services: Iterable[Service]) -> dict[str, Unit]:
    """What a node with these services must hold, by folder below ``.coopr``."""
    lookup = files("coopr_core.automators.shell").joinpath("coopr_lookup_key.sh").read_bytes()
    found: dict[str, Unit] = {"bin": {"coopr_lookup_key": (lookup, 0o755)}}
    for service in services:
        found[f"services/{service.name}"] = {
            path: (text.encode("utf-8", "surrogatepass"), 0o755 if text.startswith("#!") else 0o644)
            for path, text in service.files.items()
        }
    return found


def digest(unit: Unit) -> str:
    """The same for the same files, another for others."""
    sha = hashlib.sha256()
    for path, (content, mode) in sorted(unit.items()):
        sha.update(f"{len(path)} {len(content)} {mode} {path}".encode("utf-8", "surrogatepass"))
        sha.update(content)
    return sha.hexdigest()


def read_manifest(text: str) -> dict[str, str]:
    """The digests a node reports, by unit; ``-`` for one that is not whole."""
    lines = (line.split(" ", 1) for line in text.splitlines())
    return {parts[1]: parts[0] for parts in lines if len(parts) == 2}


def write_manifest(digests: Mapping[str, str]) -> bytes:
    """The digests as the node keeps them: ``<digest> <unit>`` a line."""
    return "".join(f"{value} {unit}\n" for unit, value in sorted(digests.items())).encode()
