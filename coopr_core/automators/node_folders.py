"""Where things are on a node, for all automators alike.

Below ``<root>/var/lib/coopr``: ``.coopr/bin`` has the commands that scripts may use, ``.coopr/services/<service>`` the
files of a service (its scripts' current folder), ``.coopr/manifest`` the version of each of these, ``.coopr/store``
the versions of resources and ``.coopr/resources/<service>`` the way to those of a service, and ``<service>`` is the
folder where a service keeps its own things. ``<root>/var/cache/coopr`` has the tasks' files and
``<root>/var/log/coopr`` what processes say that an action left running; both are for their owner alone.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeFolders:
    """The folders of a node whose absolute paths live below ``root``."""

    root: str

    @property
    def library(self) -> str:
        """Where services and their scripts live."""
        return f"{self.root.rstrip('/')}/var/lib/coopr"

    @property
    def own(self) -> str:
        """What BOOTSTRAP keeps on the node."""
        return f"{self.library}/.coopr"

    @property
    def commands(self) -> str:
        """The folder that scripts have first in their PATH."""
        return f"{self.own}/bin"

    @property
    def tasks(self) -> str:
        """The tasks' files, for their owner alone."""
        return f"{self.root.rstrip('/')}/var/cache/coopr"

    def task_file(self, task_id: str, kind: str) -> str:
        """Return the path of one of a task's files: ``json``, ``keys``, ``env``, ``sh``, ..."""
        return f"{self.tasks}/{task_id}.{kind}"

    def kept(self, service: str, action: str, task_id: str) -> str:
        """Return the file with the output of an action that left something running."""
        return f"{self.root.rstrip('/')}/var/log/coopr/{service}/{action}-{task_id}.log"

    def scripts(self, service: str) -> str:
        """Return the folder with a service's files."""
        return f"{self.own}/services/{service}"

    def resources(self, service: str) -> str:
        """Return the folder that leads to a service's resources, by their names."""
        return f"{self.own}/resources/{service}"

    def version(self, version: str) -> str:
        """Return the folder of one version of a resource."""
        return f"{self.own}/store/{version}"

    def data(self, service: str) -> str:
        """Return the folder where a service keeps its own things."""
        return f"{self.library}/{service}"
