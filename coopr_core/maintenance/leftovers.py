"""What is left over of clusters that are gone: machines, logs, keys of passwords, files for SSH.

Promise: nothing that a living node has, or a running job may be making, is ever named. What there is is read before
what is recorded, so whatever comes up in between is known; a token is never used twice, so a machine without a node
never gets one again. Things of clusters this database never heard of are only named where they can be nobody else's: in
our own state folder, on our own Prefect server, at a provider that sees this installation's machines alone.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from coopr_core.errors import CooprError, InvalidInput, Unreachable
from coopr_core.model.facts import ProviderFacts
from coopr_core.model.operations import Operation
from coopr_core.model.records import ClusterRecord
from coopr_core.model.states import ClusterState
from coopr_core.operations.confirmation import Part, Parts, Prepared
from coopr_core.providers.cloud import Cloud
from coopr_core.providers.contract import Found, Machine
from coopr_core.providers.credentials import cluster_clouds, make_cloud
from coopr_core.providers.scope import Attached, Scope
from coopr_core.remote.endpoint import Endpoint
from coopr_core.settings import load_settings
from coopr_core.work.passwords import clusters_with_keys, forget_secrets, key_name

if TYPE_CHECKING:
    from coopr_core.store import Store
    from coopr_core.vault import Vault

_CLUSTER_ID = re.compile(r"\d{8,}")


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing to delete; ``why`` is a clause.

    ``kind`` is ``machine``, ``attached`` (to a cluster, at a provider), ``logs``, ``secret`` or ``known-hosts``.
    """

    kind: str
    name: str
    cluster: str
    why: str
    remove: Callable[[], None] = field(repr=False, compare=False)

    def to_json(self) -> dict[str, str]:
        """Return the leftover as ``-o json`` prints it."""
        return {"kind": self.kind, "name": self.name, "cluster": self.cluster, "why": self.why}


@dataclass(frozen=True, slots=True)
class Leftovers(Prepared):
    """What was found, and in words what could not be looked at; ``blind`` are the kinds of which that is."""

    items: tuple[Leftover, ...]
    unseen: tuple[str, ...] = ()
    blind: frozenset[str] = frozenset()

    @property
    def subject(self) -> str:
        """All of them together."""
        return "what is left over"

    @property
    def parts(self) -> Parts:
        """Each thing that would be deleted."""
        return {f"{item.kind} {item.name}": Part.of(item.to_json(), item.why) for item in self.items}


def find_leftovers(store: Store, vault: Vault | None, tenant: str | None = None) -> Leftovers:
    """Return everything left over, machines first; with ``tenant``, of that tenant's clusters alone.

    A provider that cannot be asked is named in ``unseen``, and so is the vault where it is None: no server runs.
    """
    seen = _Seen(store, load_settings().state_dir, vault)
    seen.machines(store, tenant)
    items = tuple(_judged(seen, _Known(store, tenant)))
    return Leftovers(items, tuple(text for _, text in seen.unseen), frozenset(kind for kind, _ in seen.unseen))


def delete_leftovers(
    store: Store,
    chosen: Iterable[Leftover],
    vault: Vault | None,
    *,
    tenant: str | None = None,
    confirmed: str = "",
) -> dict[Leftover, str]:
    """Delete what was chosen and is still left over now; each with what kept it from being deleted, if anything.

    What is not there any more counts as deleted, but not what could not be looked at again. Raises ``Refused`` when
    what is left over now is anything else than was ``confirmed``, if that was.
    """
    again = find_leftovers(store, vault, tenant)
    again.check(confirmed)
    still = {item: item for item in again.items}
    results = {}
    for item in chosen:
        results[item] = ""
        if item not in still and item.kind in again.blind:
            results[item] = "; ".join(f"not looked at again: {unseen}" for unseen in again.unseen)
        elif item in still:
            try:
                still[item].remove()
            except (CooprError, OSError) as error:
                results[item] = str(error)
    return results


class _Known:
    """What the store says of each cluster, read after everything else; others than ``tenant``'s count as needed."""

    def __init__(self, store: Store, tenant: str | None) -> None:
        self.store = store
        self.tenant = tenant
        self._clusters = {cluster.id: cluster for cluster in store.clusters(tenant=None, terminated=True)}
        self._tokens: dict[str, set[str]] = {}

    def gone(self, cluster_id: str) -> str:
        """Return why nothing of the cluster is needed; empty when it lives."""
        cluster = self._clusters.get(cluster_id)
        if self._is_not_meant(cluster):
            return ""
        if cluster is None:
            return f"cluster {cluster_id} is unknown"
        return f"cluster {cluster.name} is deleted" if cluster.state is ClusterState.TERMINATED else ""

    def _is_not_meant(self, cluster: ClusterRecord | None) -> bool:
        return self.tenant is not None and (cluster is None or cluster.tenant != self.tenant)

    def knows(self, cluster_id: str) -> bool:
        """Return whether the database ever had the cluster."""
        return cluster_id in self._clusters

    def label(self, cluster_id: str) -> str:
        """Return the cluster as people are told of it."""
        cluster = self._clusters.get(cluster_id)
        return f"{cluster.name} ({cluster_id})" if cluster else cluster_id

    def unowned(self, machine: Machine) -> str:
        """Return why no node has the machine; empty when one has, or when a job may be about to."""
        if reason := self.gone(machine.cluster_id):
            return reason
        cluster = self._clusters.get(machine.cluster_id)
        if cluster is None or self._is_not_meant(cluster):
            return ""
        if cluster.state is ClusterState.PENDING:
            return ""
        if cluster.id not in self._tokens:
            self._tokens[cluster.id] = {node.token for node in self.store.nodes(cluster.id) if node.token}
        return "" if machine.token in self._tokens[cluster.id] else f"no node of cluster {cluster.name} has it"

    def logs_were_kept(self, cluster_id: str) -> bool:
        """Return whether the user asked for the logs to outlive the cluster."""
        deletions = [j for j in self.store.jobs(cluster_id) if j.operation is Operation.CLUSTER_DELETE]
        return bool(deletions) and self.store.job_parameters(deletions[-1].id).keep_logs


class _Seen:
    """Everything there is, read before the store is asked whose it is."""

    def __init__(self, store: Store, state_dir: Path, vault: Vault | None) -> None:
        self.vault = vault
        self.unseen: list[tuple[str, str]] = []
        self.found: dict[tuple[str, str], tuple[Machine, Cloud]] = {}
        self.attached: dict[tuple[str, str], tuple[Attached, Cloud]] = {}
        self.logs = _named_after_clusters(state_dir / "logs")
        self.known_hosts = sorted((state_dir / "ssh").glob("*.known_hosts"))
        self.keys: list[str] = []
        if vault is None:
            self.unseen.append(("secret", "the keys of passwords: no Prefect server runs (`coopr server start`)"))
            return
        try:
            self.keys = clusters_with_keys(store, vault)
        except Unreachable as error:
            self.unseen.append(("secret", f"the keys of passwords: {error.message}"))

    def machines(self, store: Store, tenant: str | None) -> None:
        """Ask every provider that clusters were made with, and those of the catalog for all machines of ours."""
        for cluster in store.clusters(tenant=tenant, terminated=True):
            self._ask(f"machines of {cluster.name} ({cluster.id})", partial(_of_cluster, store, cluster, self.vault))
        for facts in _catalog_providers():
            self._ask(
                f"machines of provider {facts.name}", partial(_of_provider, facts, self.vault, store.installation)
            )

    def _ask(self, what: str, ask: Callable[[], Iterable[tuple[Cloud, Found]]]) -> None:
        try:
            answers = list(ask())
        except CooprError as error:
            self.unseen.append(("machine", f"{what}: {error.message}"))
            return
        for cloud, found in answers:
            for machine in found.machines:
                self.found.setdefault((machine.provider_id, machine.token), (machine, cloud))
            for thing in found.attached:
                self.attached.setdefault((thing.kind, thing.name), (thing, cloud))


def _of_cluster(store: Store, cluster: ClusterRecord, vault: Vault | None) -> Iterator[tuple[Cloud, Found]]:
    others = [node.placement.provider for node in store.nodes(cluster.id)]
    others += [provider for provider, _ in store.attached(cluster.id)]
    for cloud in cluster_clouds(cluster, vault).all(others):
        yield cloud, cloud.find(Scope(store.installation, cluster.id))


def _of_provider(facts: ProviderFacts, vault: Vault | None, installation: str) -> Iterator[tuple[Cloud, Found]]:
    try:
        cloud = make_cloud(facts, vault)
    except InvalidInput:  # it is no use without credentials, and clusters that have some are asked for themselves
        return
    yield cloud, cloud.find(Scope(installation))


def _catalog_providers() -> list[ProviderFacts]:
    from coopr_core.catalog import Catalog
    from coopr_core.providers import provider_types

    entities = Catalog.load(load_settings().catalog).providers.values()
    known = provider_types()
    return [ProviderFacts.of(entity) for entity in entities if entity.providertype in known]


def _judged(seen: _Seen, known: _Known) -> Iterator[Leftover]:
    for machine, cloud in seen.found.values():
        if why := known.unowned(machine):
            name = f"{machine.provider_id} ({Endpoint.of(machine).name})" if machine.addresses else machine.provider_id
            yield Leftover("machine", name, known.label(machine.cluster_id), why, partial(cloud.delete, machine))
    for thing, cloud in seen.attached.values():
        if thing.cluster_id and (why := known.gone(thing.cluster_id)):
            remove = partial(_release, known.store, cloud, thing)
            yield Leftover("attached", f"{thing.kind} {thing.name}", known.label(thing.cluster_id), why, remove)
    for folder in seen.logs:
        why = known.gone(folder.name)
        if why and not (known.knows(folder.name) and known.logs_were_kept(folder.name)):
            yield Leftover("logs", str(folder), known.label(folder.name), why, partial(shutil.rmtree, folder))
    for cluster_id in seen.keys:
        if seen.vault and (why := known.gone(cluster_id)):
            remove = partial(forget_secrets, known.store, seen.vault, cluster_id)
            yield Leftover("secret", key_name(known.store, cluster_id), known.label(cluster_id), why, remove)
    for file in seen.known_hosts:
        cluster_id = file.name.partition(".")[0]
        if why := known.gone(cluster_id):
            yield Leftover("known-hosts", str(file), known.label(cluster_id), why, file.unlink)


def _release(store: Store, cloud: Cloud, thing: Attached) -> None:
    """Release a thing of a cluster that is gone, and what is on record of it."""
    cloud.release(Scope(store.installation, thing.cluster_id), [thing])
    for provider, recorded in store.attached(thing.cluster_id):
        if (recorded["kind"], recorded["name"]) == (thing.kind, thing.name):
            store.forget_attached(thing.cluster_id, provider, thing.kind, thing.name)


def _named_after_clusters(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and _CLUSTER_ID.fullmatch(path.name))
