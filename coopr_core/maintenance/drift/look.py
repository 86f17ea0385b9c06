"""How a cluster differs from what is recorded of it, found without changing anything.

Looked for are machines that are gone or do not answer, services whose ``health`` action fails, config that is no longer
what was last applied to the node, and machines that carry the cluster's tag but belong to no node. The only thing ever
written to a node are the files of a health check, which are removed again. Config values may be secrets: only the paths
that differ are told. Nodes are looked at side by side; the cost is one connection a node and one command a service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coopr_core.automators import load_automator
from coopr_core.automators.contract import Automator
from coopr_core.catalog.entities import Service
from coopr_core.errors import Busy, CooprError, NotFound, TimedOut, Unreachable
from coopr_core.maintenance.drift.comparison import paths_that_differ
from coopr_core.maintenance.drift.findings import Drift, Finding
from coopr_core.maintenance.drift.past import Past
from coopr_core.model.courses import Action
from coopr_core.model.records import ClusterRecord, NodeRecord, TaskRecord
from coopr_core.model.states import ClusterState, TaskState
from coopr_core.providers.contract import Machine
from coopr_core.providers.credentials import cluster_clouds
from coopr_core.providers.scope import Scope
from coopr_core.remote.keys import authorized_key, client_key
from coopr_core.work.actions import Actions
from coopr_core.work.passwords import asks_for_secrets, known_secrets
from coopr_core.work.task_log import TaskLog

if TYPE_CHECKING:
    from pathlib import Path

    from coopr_core.model.layout import ClusterLayout
    from coopr_core.remote.access import NodeAccess
    from coopr_core.store import Store
    from coopr_core.vault import Vault

_GREETING_SECONDS = 30
_LAST_LINES = 5


def find_drift(store: Store, cluster: ClusterRecord, vault: Vault) -> Drift:
    """Look at every node of a cluster. Raises ``Busy`` while a job changes it.

    The vault is asked for a cluster with passwords in its config or with blocks alone.
    """
    from coopr_core.remote.access import NodeAccess
    from coopr_core.remote.redaction import Redactor

    if cluster.state is ClusterState.PENDING and not store.end_abandoned_job(cluster.id):
        raise Busy(
            f"cluster {cluster.name} is busy: while a job changes it, drift cannot be told",
            hint="see `coopr status`, and look again when the job has ended",
        )
    cluster = store.cluster_with_id(cluster.id)
    key = client_key(cluster, vault)
    with NodeAccess(key, redactor=Redactor()) as access:
        try:
            return _Look(store, cluster, access, key, vault).everywhere()
        except BaseException:
            access.stop()
            raise


class _Look:
    """One look at one cluster."""

    def __init__(self, store: Store, cluster: ClusterRecord, access: NodeAccess, key: Path, vault: Vault) -> None:
        self._cluster = cluster
        self._installation = store.installation
        self._access = access
        self._layout: ClusterLayout = store.layout(cluster.id)
        self._clouds = cluster_clouds(cluster, vault, access.redactor.add)
        secret: Callable[[str], str] | None = None
        self._no_secrets = False
        if asks_for_secrets(self._layout):
            secret = known_secrets(store, vault, cluster.id, access.redactor.add)
            self._no_secrets = secret is None
        self._past = Past(store, cluster.id)
        used = {action.type for service in self._layout.services.values() for action in service.actions.values()}
        self._automators = {name: load_automator(name, vault=vault, hide=access.redactor.add) for name in used}
        self._actions = Actions(
            store=store,
            cluster=cluster,
            layout=self._layout,
            clouds=self._clouds,
            automators=self._automators,
            access=access,
            authorized_key=authorized_key(key),
            secret=secret,
        )
        self._nodes = tuple(self._actions.picture.nodes.values())
        self._checked: set[tuple[int, str]] = set()
        self._unchecked: dict[str, None] = {}

    def everywhere(self) -> Drift:
        """Look at the provider, then at all nodes."""
        scope = Scope(self._installation, self._cluster.id)
        clouds = self._clouds.all(node.placement.provider for node in self._nodes)
        found = {machine.token: machine for cloud in clouds for machine in cloud.find(scope).machines}
        looks = self._access.each(self._nodes, lambda node: self._at(node, found.get(node.token)))
        return Drift(
            self._cluster,
            (*self._of_cluster(found), *(finding for look in looks for finding in look)),
            len(self._nodes),
            len(self._checked),
            tuple(sorted(self._unchecked)),
        )

    def _of_cluster(self, found: Mapping[str, Machine]) -> list[Finding]:
        findings = []
        if self._no_secrets:
            message = (
                "the key its passwords are made from is gone from Prefect, so config with passwords is not compared"
            )
            hint = f"restore Prefect's database, or `coopr configure {self._cluster.handle} --all` for new passwords"
            findings.append(Finding("no-secrets", message, hint=hint))
        tokens = {node.token for node in self._nodes}
        for token, machine in sorted(found.items()):
            if token not in tokens:
                message = f"machine {machine.provider_id} carries the cluster's tag and belongs to no node"
                findings.append(Finding("extra-machine", message, hint="`coopr gc` deletes it"))
        return findings

    def _at(self, node: NodeRecord, found: Machine | None) -> list[Finding]:
        """Return what differs on one node; nothing is known beyond the first sign that it does not answer."""
        replace = f"`coopr replace {self._cluster.handle} {node.number}` makes it anew"
        if node.machine is None:
            return [_on(node, "machine-gone", f"it has no machine (state {node.state})", hint=replace)]
        if found is None:
            return [_on(node, "machine-gone", "its machine is gone from the provider", hint=replace)]
        findings: list[Finding] = []
        machine = Machine.from_json(node.machine)
        try:
            self._access.session(machine).run(":", timeout=_GREETING_SECONDS)
            for name in sorted(node.services):
                service = self._layout.services[name]
                findings += self._config(node, machine, service)
                findings += self._health(node, machine, service)
        except (Unreachable, TimedOut) as error:
            kind = error.code if error.code in ("wrong-host-key", "machine-gone") else "unreachable"
            bring_back = (
                f"`coopr exec {self._cluster.handle} --node {node.number} true` tries to bring it back; {replace}"
            )
            findings.append(_on(node, kind, error.message, hint=error.hint or bring_back))
        return findings

    def _config(self, node: NodeRecord, machine: Machine, service: Service) -> list[Finding]:
        """Return what the service's CONFIGURE would bring now, against what the last one brought."""
        action = service.actions.get(Action.CONFIGURE.lower())
        if action is None or self._no_secrets:
            return []
        automator = self._automators[action.type]
        tasks = self._past.configured.get((node.number, service.name))
        configure = f"`coopr configure {self._cluster.handle} --all` applies it again"
        if not tasks:
            message = "its config was never applied"
            return [_on(node, "no-record", message, service=service.name, hint=configure)]
        if not automator.on_node:
            self._unchecked[f"config of {service.name}: automator {action.type} keeps no record of it"] = None
            return []
        try:
            wanted = self._actions.picture.config(node.number)
            record = self._record(automator, machine, tasks)
        except NotFound as error:
            return [_on(node, "no-record", error.message, service=service.name, hint=configure)]
        except (Unreachable, TimedOut):
            raise
        except CooprError as error:
            message = f"its config cannot be compared: {error.message}"
            return [_on(node, "config", message, service=service.name, hint=error.hint or configure)]
        applied = record.get("config")
        applied = applied.get("cluster") if isinstance(applied, dict) else None
        paths = paths_that_differ(wanted, applied, service.config)
        if not paths:
            return []
        shown = ", ".join(paths[:_LAST_LINES]) + (f" and {len(paths) - _LAST_LINES} more" * (len(paths) > _LAST_LINES))
        message = f"its config is not what was last applied: {shown}"
        return [_on(node, "config", message, service=service.name, paths=paths, hint=configure)]

    def _record(self, automator: Automator[Any], machine: Machine, tasks: Sequence[str]) -> Mapping[str, Any]:
        """Return the newest record there is; a task that found nothing to adapt to succeeded without leaving one."""
        missing: NotFound | None = None
        for task in tasks:
            try:
                return automator.record(task, machine.root, self._access.session(machine))
            except NotFound as error:
                missing = missing or error
        raise missing or NotFound("there is no record of it")

    def _health(self, node: NodeRecord, machine: Machine, service: Service) -> list[Finding]:
        action = service.actions.get(Action.HEALTH.lower())
        if action is None:
            if Action.START.lower() in service.actions:
                self._unchecked[f"health of {service.name}: it has no health action"] = None
            return []
        if (node.number, service.name) in self._past.stopped:
            self._unchecked[f"health of {service.name} on {_short(node)}: it was stopped"] = None
            return []
        if self._no_secrets:
            self._unchecked[f"health of {service.name}: without the passwords it cannot be asked"] = None
            return []
        self._checked.add((node.number, service.name))
        task = _health_task(self._cluster.id, node.number, service.name)
        restart = f"`coopr restart {self._cluster.handle} {service.name}`"
        try:
            result = self._actions.perform(task, 1, _Unwritten())
        except TimedOut as error:
            return [_on(node, "unhealthy", error.message, service=service.name, hint=restart)]
        except Unreachable:
            raise
        except CooprError as error:
            message = f"its health cannot be checked: {error.message}"
            return [_on(node, "unhealthy", message, service=service.name, hint=error.hint)]
        automator = self._automators[action.type]
        if automator.on_node:
            automator.forget(task.id, machine.root, self._access.session(machine))
        if result.exit_status == 0:
            return []
        said = "; ".join(line.strip() for line in result.tail[-_LAST_LINES:])
        message = f"its health check fails (exit status {result.exit_status})" + (f": {said}" if said else "")
        return [_on(node, "unhealthy", message, service=service.name, hint=restart)]


class _Unwritten(TaskLog):
    """The log of a check: nobody reads it, what matters is in the finding."""

    def __init__(self) -> None:
        pass

    def __call__(self, stream: str, line: str) -> None:
        """Take one line of output."""

    def write(self, line: str, level: int = 0) -> None:
        """Take one line."""


def _health_task(cluster_id: str, node: int, service: str) -> TaskRecord:
    """Return a task no job has; its id names its files on the node, so that checks leave one set behind at most."""
    return TaskRecord(
        id=f"{cluster_id}-drift-{service}",
        job_id="",
        cluster_id=cluster_id,
        stage=0,
        node=node,
        action=Action.HEALTH.value,
        service=service,
        state=TaskState.RUNNING,
    )


def _short(node: NodeRecord) -> str:
    return node.host_name.partition(".")[0]


def _on(
    node: NodeRecord, kind: str, message: str, *, service: str = "", paths: tuple[str, ...] = (), hint: str = ""
) -> Finding:
    return Finding(kind, message, node.number, node.host_name, service, paths, hint)
