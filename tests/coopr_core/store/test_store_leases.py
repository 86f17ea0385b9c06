from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from store_samples import layout, new_cluster, record_cluster, stages

from coopr_core.catalog.entities import ClusterTemplate
from coopr_core.errors import Busy, InvalidInput, Refused
from coopr_core.model.records import ClusterRecord
from coopr_core.model.request import ClusterRequest
from coopr_core.model.states import JobState
from coopr_core.store import Store

HOUR = timedelta(hours=1)


def leased(store: Store, *, initial: str = "1h", longest: str = "4h", step: str = "2h") -> ClusterRecord:
    """A cluster whose template has such leases, expiring in an hour."""
    durations = {"initial": initial, "max": longest, "step": step}
    template = ClusterTemplate.model_validate({"name": "site", "administration": {"leaseduration": durations}})
    request = ClusterRequest(name="demo", template="site", size=1)
    expires = datetime.now(UTC) + HOUR
    return record_cluster(store, request, template, layout(1), owner="ada", expires_at=expires)


def test_a_lease_is_extended_by_what_was_asked_for_or_by_its_templates_step(store: Store) -> None:
    cluster = leased(store)
    assert cluster.expires_at is not None
    assert store.extend_lease(cluster.id, "30m").expires_at == cluster.expires_at + HOUR / 2
    assert store.extend_lease(cluster.id).expires_at == cluster.expires_at + HOUR * 2.5
    assert store.cluster("demo").expires_at == cluster.expires_at + HOUR * 2.5


def test_an_extension_beyond_step_or_maximum_is_refused_and_changes_nothing(store: Store) -> None:
    cluster = leased(store)
    with pytest.raises(InvalidInput, match="longer than the template allows"):
        store.extend_lease(cluster.id, "3h")
    store.extend_lease(cluster.id, "2h")
    with pytest.raises(InvalidInput, match="would live longer than the 4h the template allows"):
        store.extend_lease(cluster.id, "2h")
    assert store.cluster("demo").expires_at == (cluster.expires_at or datetime.min) + 2 * HOUR


def test_the_step_is_enforced_without_a_maximum_and_for_ever_is_allowed_without_both(store: Store) -> None:
    cluster = leased(store, longest="0")
    with pytest.raises(InvalidInput):
        store.extend_lease(cluster.id, "3h")
    unlimited = ClusterTemplate.model_validate({"name": "site", "administration": {}})
    request = ClusterRequest(name="free", template="site", size=1)
    free = record_cluster(store, request, unlimited, layout(1), owner="ada", expires_at=datetime.now(UTC))
    with pytest.raises(InvalidInput, match="does not say by how much"):
        store.extend_lease(free.id)
    assert store.extend_lease(free.id, 0).expires_at is None
    assert store.extend_lease(free.id).expires_at is None


def test_a_deleted_cluster_is_not_extended_and_one_being_deleted_is_busy(store: Store) -> None:
    cluster = leased(store)
    job = store.start_job(cluster.id, "CLUSTER_DELETE", stages(1))
    with pytest.raises(Busy, match="is being deleted"):
        store.extend_lease(cluster.id)
    with pytest.raises(Busy):
        store.set_protected(cluster.id, True)
    store.finish_job(job.id, JobState.SUCCEEDED)
    with pytest.raises(Refused, match="is deleted"):
        store.extend_lease(cluster.id)


def test_a_protected_cluster_cannot_be_deleted_until_its_protection_is_lifted(store: Store) -> None:
    cluster = new_cluster(store)
    assert store.set_protected(cluster.id, True).protected
    with pytest.raises(Refused, match="protected against deletion") as caught:
        store.start_job(cluster.id, "CLUSTER_DELETE", stages())
    assert (caught.value.exit_code, caught.value.hint) == (10, "`coopr unprotect demo` first.")
    store.set_protected(cluster.id, False)
    store.start_job(cluster.id, "CLUSTER_DELETE", stages())


def test_a_delete_of_what_has_expired_is_refused_when_the_lease_was_extended_meanwhile(store: Store) -> None:
    cluster = leased(store)
    with pytest.raises(Refused, match="has not run out"):
        store.start_job(cluster.id, "CLUSTER_DELETE", stages(1), only_expired=True)
    store.set_expiry(cluster.id, datetime.now(UTC))
    store.start_job(cluster.id, "CLUSTER_DELETE", stages(1), only_expired=True)


def test_the_end_of_a_lease_is_warned_of_once_and_again_when_it_was_extended(store: Store) -> None:
    cluster = leased(store)
    soon = datetime.now(UTC) + 2 * HOUR
    assert store.expiring_unwarned(datetime.now(UTC)) == []
    assert [found.id for found in store.expiring_unwarned(soon)] == [cluster.id]
    assert store.claim_warning(cluster)
    assert not store.claim_warning(cluster)
    assert store.expiring_unwarned(soon) == []
    extended = store.extend_lease(cluster.id, "30m")
    assert not store.claim_warning(cluster), "that lease is no more"
    assert [found.expires_at for found in store.expiring_unwarned(soon)] == [extended.expires_at]
    store.set_protected(cluster.id, True)
    assert store.expiring_unwarned(soon) == [], "it will not be deleted"
