"""The store's leases: until when each cluster may live, and which must not be deleted at all.

Promise: an extension is worked out from what the lease is in the very transaction that changes it, so that two at once
cannot exceed what the template allows together.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.engine import Connection

from coopr_core.catalog.entities import ClusterTemplate
from coopr_core.durations import FOREVER, format_duration, parse_duration
from coopr_core.errors import Busy, InvalidInput, Refused
from coopr_core.model.leases import Lease, extend
from coopr_core.model.operations import Operation
from coopr_core.model.records import ClusterRecord
from coopr_core.model.states import HOLDING, ClusterState
from coopr_core.store.database import Database
from coopr_core.store.ledger.events import LEASE_CHANGED, LEASE_WARNED, PROTECTION_CHANGED, note
from coopr_core.store.references import find_cluster
from coopr_core.store.rows import Row, cluster_record, handle, now
from coopr_core.store.schema import clusters, jobs


class Leases:
    """The part of the store that changes how long clusters live."""

    _database: Database

    def extend_lease(self, cluster_id: str, by: int | str | None = None) -> ClusterRecord:
        """Let the cluster live longer: by a duration (0: for ever), or by the step of its template.

        Raises ``InvalidInput`` when the template does not allow it, ``Refused`` for a deleted cluster, ``Busy`` for
        one that is being deleted.
        """
        with self._database.write(durable=True) as connection:
            row = find_cluster(connection, cluster_id, lock=True)
            _refuse_leaving(connection, row)
            template = find_cluster(connection, cluster_id, clusters.c.template)["template"]
            lease = Lease.of(ClusterTemplate.model_validate(template).administration.leaseduration)
            expires = row["expires_at"]
            if by is None and expires is not None:
                if lease.step == FOREVER:
                    raise InvalidInput(
                        f"The template of cluster {row['name']} does not say by how much a lease is extended at a time",
                        hint=f"Say it: `coopr extend {handle(row)} 2h`; 0 is for ever, if the template allows it.",
                    )
                by = lease.step
            wanted = parse_duration(by or 0)
            changed = extend(lease, row["created"], expires, wanted)
            if changed != expires:
                details = {"from": _text(expires), "to": _text(changed), "extension": format_duration(wanted)}
                _set(connection, row, {"expires_at": changed}, LEASE_CHANGED, details)
            return cluster_record({**row, "expires_at": changed})

    def set_expiry(self, cluster_id: str, expires_at: datetime | None) -> ClusterRecord:
        """Change when the cluster's lease ends, whatever its template says; None is never."""
        with self._database.write(durable=True) as connection:
            row = find_cluster(connection, cluster_id, lock=True)
            details = {"from": _text(row["expires_at"]), "to": _text(expires_at)}
            _set(connection, row, {"expires_at": expires_at}, LEASE_CHANGED, details)
            return cluster_record(find_cluster(connection, cluster_id))

    def set_protected(self, cluster_id: str, protected: bool) -> ClusterRecord:
        """Guard the cluster against deletion, or lift that. Raises ``Refused`` for a deleted one."""
        with self._database.write(durable=True) as connection:
            row = find_cluster(connection, cluster_id, lock=True)
            if protected:
                _refuse_leaving(connection, row)
            if row["protected"] != protected:
                _set(connection, row, {"protected": protected}, PROTECTION_CHANGED, {"protected": protected})
            return cluster_record({**row, "protected": protected})

    def expiring_unwarned(self, before: datetime) -> list[ClusterRecord]:
        """Return the unprotected clusters whose lease ends between now and then, and was not warned of yet."""
        ending = (
            clusters.c.state != ClusterState.TERMINATED,
            clusters.c.protected.is_(False),
            clusters.c.expires_at > now(),
            clusters.c.expires_at <= before,
            or_(clusters.c.lease_warned.is_(None), clusters.c.lease_warned != clusters.c.expires_at),
        )
        with self._database.read() as connection:
            ids = connection.execute(select(clusters.c.id).where(*ending).order_by(clusters.c.expires_at)).scalars()
            return [cluster_record(find_cluster(connection, f"{number:08d}")) for number in ids.all()]

    def claim_warning(self, cluster: ClusterRecord) -> bool:
        """Tell whether it is for us to warn of the end of this lease; of all that ask, one is told so."""
        with self._database.write(durable=True) as connection:
            row = find_cluster(connection, cluster.id, lock=True)
            warned = find_cluster(connection, cluster.id, clusters.c.lease_warned)["lease_warned"]
            if row["expires_at"] != cluster.expires_at or warned == cluster.expires_at:
                return False
            values = {"lease_warned": cluster.expires_at}
            _set(connection, row, values, LEASE_WARNED, {"expires_at": _text(cluster.expires_at)})
            return True


def _set(connection: Connection, row: Row, values: dict[str, Any], event: str, details: dict[str, Any]) -> None:
    connection.execute(update(clusters).where(clusters.c.id == row["id"]).values(**values, updated=now()))
    note(connection, row["id"], event, **details)


def _refuse_leaving(connection: Connection, row: Row) -> None:
    """Raise ``Refused`` when the cluster is gone, ``Busy`` when it is being deleted."""
    if row["state"] == ClusterState.TERMINATED:
        raise Refused(f"Cluster {row['name']} is deleted", hint="Create a new one.")
    deleting = (jobs.c.operation == Operation.CLUSTER_DELETE, jobs.c.state.in_(HOLDING))
    if connection.execute(select(jobs.c.number).where(jobs.c.cluster == row["id"], *deleting)).first():
        raise Busy(f"Cluster {row['name']} is being deleted", hint=f"Watch it with `coopr status {handle(row)}`.")


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
