"""What rebuilding a cluster would do, found out before anything is touched.

The new cluster is made beside the old one under the name ``NAME-next`` and takes over ``NAME`` when the old one is
gone; its nodes are named by ``NAME`` from the beginning, so nothing on them has to change then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from coopr_core.errors import Busy, NameTaken, NotFound, Refused
from coopr_core.model.operations import Operation, check_allowed
from coopr_core.model.quotas import Holding
from coopr_core.model.records import ClusterRecord, NewestJob, NodeRecord
from coopr_core.model.states import ClusterState
from coopr_core.operations import registry
from coopr_core.operations.confirmation import Part, Parts, Prepared
from coopr_core.operations.create import Preparation, prepare_create
from coopr_core.operations.declaration import Declaration
from coopr_core.operations.job import part_of_nodes
from coopr_core.settings import load_settings
from coopr_core.store import Store
from coopr_core.store.clusters import refuse_id_as_name
from coopr_core.store.ledger.reservation import taken_by

REBUILT_WITH = "rebuilt_with"
"""In the values of the job that deletes a cluster in whose place a new one is made: the folders of its catalog."""

Blocks = Mapping[str, str | None]
"""The blocks that are asked for instead of the old cluster's, by the fields of a request that name them."""

NEXT = "-next"
"""What the new cluster's name ends with until it takes over the old one's."""


@dataclass(frozen=True, slots=True)
class Rebuild(Prepared):
    """A rebuild that may start.

    ``old`` is the cluster to be deleted, None when the new one has only to take its name; ``made`` is the new one
    where an earlier rebuild has begun to make it, else ``new`` says what will be made. ``catalog`` are the folders
    of the catalog that it is made from. ``schedule`` is that of the old one's first job. ``nodes`` are those of the old
    one, ``newest`` is its newest job, ``newest_made`` the new one's.
    """

    name: str
    old: ClusterRecord | None
    made: ClusterRecord | None = None
    new: Preparation | None = None
    catalog: tuple[str, ...] = ()
    schedule: str = ""
    in_place: bool = False
    nodes: tuple[NodeRecord, ...] = ()
    newest: NewestJob = field(default_factory=NewestJob)
    newest_made: NewestJob = field(default_factory=NewestJob)

    @property
    def subject(self) -> str:
        """The name that both clusters have, one after the other."""
        return f"cluster {self.name}"

    @property
    def parts(self) -> Parts:
        """What is to be deleted, and what is to be made or finished in its place."""
        order = "the old one is deleted first" if self.in_place else "the new one is made first"
        parts = {"the order": Part.of(self.in_place, order)}
        if self.old:
            parts["the old cluster"] = Part.of_cluster(self.old)
            parts["its nodes"] = part_of_nodes(self.nodes)
            parts["its newest job"] = Part.of(self.newest, str(self.newest))
        if self.made:
            parts["the new cluster"] = Part.of_cluster(self.made)
            parts["the newest job of the new cluster"] = Part.of(self.newest_made, str(self.newest_made))
        return {**parts, **(self.new.parts if self.new else {})}

    @property
    def old_is_deleted(self) -> bool:
        """Whether an earlier rebuild in place has deleted the old cluster, and only that."""
        return self.old is not None and self.old.state is ClusterState.TERMINATED

    @property
    def reference(self) -> str:
        """The id that this rebuild goes by: the old cluster's, else the new one's."""
        cluster = self.old or self.made
        assert cluster is not None
        return cluster.id

    @property
    def next_name(self) -> str:
        """What the new cluster is called for the time being."""
        return next_name(self.name)


def next_name(name: str) -> str:
    """Return the name of the cluster that is to take the place of ``name``."""
    return f"{name[: 255 - len(NEXT)]}{NEXT}"


def prepare_rebuild(
    store: Store,
    cluster: str,
    in_place: bool = False,
    catalog: list[str] | None = None,
    credentials: str | None = None,
    ssh_key: str | None = None,
) -> Rebuild:
    """Make a cluster again from the same request, then delete the old one; the new one takes over its name.

    The new one is planned from the old one's request and today's catalog. An earlier rebuild that did not come to its
    end is taken up where it stands. Raises ``Refused`` for a protected cluster, ``Busy`` while a job holds it,
    ``NotFound``, ``OverQuota`` when the new one is too much, ``in_place`` instead of the old one, else besides it, or
    what ``prepare_create`` raises.

    Args:
        in_place: Delete the old cluster first; needs no room for both, but there is none for a while.
        catalog: Folders with templates and services, laid over the catalog the cluster was made from.
        credentials: The block with the provider's settings and secrets, instead of the old one's.
        ssh_key: The block with the key that logs in to the nodes, instead of the old one's.
    """
    blocks = {"credentials": credentials, "ssh_key": ssh_key}
    found = _rebuild(store, cluster, in_place=in_place, catalog=catalog or (), blocks=blocks)
    return replace(
        found,
        in_place=in_place,
        nodes=tuple(store.nodes(found.old.id)) if found.old else (),
        newest=_newest(store, found.old),
        newest_made=_newest(store, found.made),
    )


def _newest(store: Store, cluster: ClusterRecord | None) -> NewestJob:
    """Return the newest job of a cluster when its record was read."""
    return NewestJob.of(store.job(cluster.last_job) if cluster and cluster.last_job else None)


def _rebuild(store: Store, cluster: str, *, in_place: bool, catalog: Sequence[str], blocks: Blocks) -> Rebuild:
    """Find what there is to rebuild and to make."""
    try:
        old = store.cluster(cluster, terminated=True)
    except NotFound:
        made = _made(store, cluster)
        if made is None:
            raise
        return Rebuild(cluster, None, made)
    refuse_id_as_name(old.name)
    if old.state is ClusterState.TERMINATED:
        return _without_the_old(store, old, catalog, blocks)
    if named := _awaited_name(store, old):
        return Rebuild(named, None, _made(store, named))
    store.end_abandoned_job(old.id)
    old = store.cluster_with_id(old.id)
    check_allowed(old.state, Operation.CLUSTER_DELETE, cluster=old.name)
    if old.protected:
        raise Refused(
            f"cluster {old.name} is protected, and rebuilding deletes it", hint=f"`coopr unprotect {old.handle}` first"
        )
    made = _made(store, old.name)
    if made is not None:
        return Rebuild(old.name, old, made)
    if not in_place and (taken := store.called(next_name(old.name))):
        raise NameTaken(
            f"the new cluster for {old.name} would be called {taken.name} until {old.name} is gone, and {taken.id} is",
            hint=f"`coopr delete {taken.handle}` first, or rebuild --in-place",
        )
    freed = taken_by(store.nodes(old.id), clusters=1) if in_place else Holding()
    return _anew(store, old, catalog, blocks, freed=freed)


def _anew(store: Store, old: ClusterRecord, catalog: Sequence[str], blocks: Blocks, *, freed: Holding) -> Rebuild:
    """Prepare a rebuild that begins with making the new cluster, or with a deletion that leaves room for ``freed``."""
    jobs = store.jobs(old.id)
    begun = store.job_parameters(jobs[-1].id).rebuilt_with or ()
    paths = list(map(str, load_settings().catalog_with(*old.facts.catalog, *begun, *catalog)))
    kept = {"credentials": old.credentials or None, "ssh_key": old.facts.ssh_key or None}
    wanted = {name: block for name, block in blocks.items() if block}
    request = store.request(old.id).model_copy(update={"name": old.name, **kept, **wanted})
    new = prepare_create(request, catalog=paths, tenant=old.tenant, numbering=store, accepted=True)
    store.check_quota(old.tenant, taken_by(new.layout.nodes, clusters=1) - freed)
    return Rebuild(old.name, old, new=new, catalog=tuple(paths), schedule=store.job_parameters(jobs[0].id).schedule)


def _without_the_old(store: Store, old: ClusterRecord, catalog: Sequence[str], blocks: Blocks) -> Rebuild:
    """Prepare the rest of a rebuild that has deleted the old cluster.

    Raises ``NotFound`` when it was no rebuild's doing.
    """
    deleted = f"Cluster {old.name} ({old.id}) is deleted"
    now = store.called(old.name, tenant=old.tenant)
    if now is not None:
        raise NotFound(deleted, hint=f"the cluster called {old.name} has the id {now.id} now")
    made = _made(store, old.name)
    if made is not None:
        return Rebuild(old.name, None, made)
    jobs = store.jobs(old.id)
    if not jobs or store.job_parameters(jobs[-1].id).rebuilt_with is None:
        raise NotFound(deleted, hint="for another like it: coopr show ID -o yaml > FILE; coopr create --from FILE")
    return _anew(store, old, catalog, blocks, freed=Holding())


def _awaited_name(store: Store, cluster: ClusterRecord) -> str:
    """Return the name that a rebuild's new cluster has only to take over since the old is gone; "" for any other."""
    jobs = store.jobs(cluster.id)
    named = store.job_parameters(jobs[0].id).named if jobs else ""
    waits = named and cluster.name == next_name(named) and store.called(named, tenant=cluster.tenant) is None
    return named if waits else ""


def _made(store: Store, name: str) -> ClusterRecord | None:
    """Find the cluster that an earlier rebuild of ``name`` has made, or begun and can finish.

    Raises ``Busy`` while that is being made, ``Refused`` when it cannot be finished.
    """
    made = store.called(next_name(name))
    if made is None:
        return None
    store.end_abandoned_job(made.id)
    made = store.cluster_with_id(made.id)
    jobs = store.jobs(made.id)
    if not jobs or store.job_parameters(jobs[0].id).named != name or made.name != next_name(name):
        return None
    if made.state is ClusterState.PENDING:
        raise Busy(f"cluster {name} is being rebuilt: {made.name} is PENDING", hint=f"see `coopr status {made.handle}`")
    if made.state is not ClusterState.ACTIVE and len(jobs) > 1:
        raise Refused(
            f"an earlier rebuild of {name} has left {made.name}, which is {made.state}",
            hint=f"`coopr delete {made.handle}` removes it; then rebuild again",
        )
    return made


REBUILD = Declaration(registry.REBUILD, prepare_rebuild, question="Rebuild cluster {cluster}", one_job=False)
