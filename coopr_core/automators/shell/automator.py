"""Runs a service's scripts on a node over its SSH session.

BOOTSTRAP brings the services' files, only those that changed; each action then brings its task's files and runs. As an
ordinary user on a real machine (root folder ``/``) everything is done through ``sudo -n``. Cost of an action: two
commands on the open connection beside the script itself.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any, ClassVar

from coopr_core.automators.contract import NodeInputs, Result
from coopr_core.automators.shell.action import FIELDS, REQUIRED_SETS, check_action, read_action
from coopr_core.automators.shell.bundle import Places, digest, read_manifest, units, write_manifest
from coopr_core.automators.shell.presence import LOST, lost_mark, preparing_script
from coopr_core.automators.shell.records import read_record, remove_record
from coopr_core.automators.shell.task_files import PRIVATE, task_files
from coopr_core.catalog.entities import Service
from coopr_core.errors import InvalidInput, Problem
from coopr_core.providers.settings import SettingField
from coopr_core.remote.command import CommandTimedOut, RemoteFailure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coopr_core.remote.session import Session

_BOOTSTRAP_SECONDS = 120


class ShellAutomator:
    """The automator of actions of type ``shell``."""

    fields: ClassVar[tuple[SettingField, ...]] = FIELDS
    required_sets: ClassVar[tuple[tuple[str, ...], ...]] = REQUIRED_SETS

    def check(self, action: str, service: Service) -> list[Problem]:
        """Everything wrong with an action of a service, found without connecting to anything."""
        return check_action(action, service)

    def bootstrap(self, node: NodeInputs, session: Session) -> Result:
        """Make the folders, and send what is not on the node yet. Idempotent; a second time costs one command."""
        places = Places(node.root)
        session = _acting(session, node)
        wanted = units(node.services)
        digests = {name: digest(unit) for name, unit in wanted.items()}
        own = shlex.quote(places.own)
        script = preparing_script(node.services, wanted, places).encode("utf-8", "surrogatepass")
        prepared = session.stream("exec sh -s", content=[script], timeout=_BOOTSTRAP_SECONDS)
        if prepared.exit_status:
            return Result(prepared.exit_status, prepared.tail)
        record = json.dumps(node.task_json, indent=1).encode()
        session.put_files({f"{node.task_id}.json": (record, PRIVATE)}, places.tasks)
        there = read_manifest(prepared.stdout)
        changed = [name for name in sorted(wanted) if there.get(name) != digests[name]]
        if not changed:
            return Result(tail=("the services' files are on the node already",))
        incoming = {f"{name}/{path}": entry for name in changed for path, entry in wanted[name].items()}
        incoming["manifest"] = (write_manifest({**there, **digests}), 0o644)
        emptied = session.run(f"rm -rf {own}/incoming", timeout=_BOOTSTRAP_SECONDS)
        if emptied.exit_status:
            return Result(emptied.exit_status, emptied.tail)
        session.put_files(incoming, f"{places.own}/incoming")
        moves = " && ".join(
            f"mkdir -p {source} && {{ chmod -R u+rwX {target} 2>/dev/null; rm -rf {target}; }} && mv {source} {target}"
            for source, target in ((shlex.quote(f"incoming/{name}"), shlex.quote(name)) for name in changed)
        )
        moved = session.run(
            f"cd {own} && {moves} && mv -f incoming/manifest manifest && rm -rf incoming", timeout=_BOOTSTRAP_SECONDS
        )
        if moved.exit_status:
            return Result(moved.exit_status, moved.tail)
        sent = [service.name for service in node.services if f"services/{service.name}" in changed]
        return Result(tail=(f"sent the files of {', '.join(sent)}" if sent else "sent the commands scripts use",))

    def run(self, action: str, service: Service, node: NodeInputs, session: Session) -> Result:
        """Run an action's script, and wait for its end, at most for the action's ``timeout``.

        A node that lacks what BOOTSTRAP brings, or a place for the task's files, is told as ``unprepared``. Raises
        ``InvalidInput``, before anything is connected to, for an action that cannot be run.
        """
        action = action.lower()
        if action not in service.actions:
            defined = ", ".join(service.actions) or "none"
            raise InvalidInput(f"service {service.name!r} has no action {action!r}; it defines: {defined}")
        task = read_action(action, service, _fields(action, service, node))
        files = task_files(task, action, service, node)
        places = Places(node.root)
        session = _acting(session, node)
        try:
            session.put_files(files, places.tasks)
        except RemoteFailure as error:
            return Result(LOST, (error.message,), unprepared=True)
        command = f"exec sh {shlex.quote(f'{places.tasks}/{node.task_id}.sh')}"
        try:
            done = session.run(command, timeout=task.timeout)
        except CommandTimedOut as error:
            late = CommandTimedOut(
                f"{action} of service {service.name!r} on {node.host_name} did not end within {task.timeout:g} s "
                "and was ended",
                hint="If it needs longer, give the action a larger 'timeout' in the service's catalog entry.",
            )
            late.tail = error.tail
            raise late from error
        lost = done.exit_status == LOST and self._is_marked(lost_mark(places, node.task_id), session)
        return Result(done.exit_status, done.tail, unprepared=lost)

    def _is_marked(self, mark: str, session: Session) -> bool:
        """Whether the mark is there; it is not any more then."""
        return not session.run(f"rm {shlex.quote(mark)}", timeout=_BOOTSTRAP_SECONDS, on_line=_silent).exit_status

    def record(self, task_id: str, root: str, session: Session) -> Mapping[str, Any]:
        """The JSON of a task as it is on the node. Raises ``NotFound``."""
        return read_record(task_id, root, _on_root(session, root))

    def forget(self, task_id: str, root: str, session: Session) -> None:
        """Remove what a task left on the node."""
        remove_record(task_id, root, _on_root(session, root))


def _silent(stream: str, line: str) -> None:
    """Our own bookkeeping is nothing for the task's log."""


def _acting(session: Session, node: NodeInputs) -> Session:
    """On a real machine services are root's business; a local node belongs to the user we log in as."""
    return _on_root(session, node.root)


def _on_root(session: Session, root: str) -> Session:
    return session.as_root() if root == "/" else session


def _fields(action: str, service: Service, node: NodeInputs) -> Mapping[str, Any]:
    """The action's fields, from the task's JSON where they are: macros in them are expanded there."""
    config = node.task_json.get("config") or {}
    described = (config.get("service") or {}).get("action") or {}
    fields: Mapping[str, Any] | None = described.get("fields")
    return service.actions[action].fields if fields is None else fields
