from __future__ import annotations

import pytest

from coopr_core.model.quotas import Holding, Quota, TenantOverQuota, check_quota


@pytest.mark.parametrize(
    ("quota", "has", "wants"),
    [
        (Quota(), Holding(9, 999, 1e9), Holding(1, 1, 1.0)),
        (Quota(clusters=3), Holding(2, 50, 9.0), Holding(1, 5, 1.0)),
        (Quota(nodes=10), Holding(1, 7, 0.0), Holding(1, 3, 0.0)),
        (Quota(price=0.3), Holding(1, 1, 0.1), Holding(0, 1, 0.2)),
        (Quota(clusters=1, nodes=1), Holding(5, 50, 0.0), Holding(0, 0, 0.0)),
        (Quota(clusters=1), Holding(5, 50, 0.0), Holding(0, 3, 0.0)),
    ],
)
def test_what_fits_is_allowed_up_to_the_limit_and_what_does_not_grow_is_not_looked_at(
    quota: Quota, has: Holding, wants: Holding
) -> None:
    check_quota("lab", quota, has, wants)


def test_a_refusal_has_every_number_and_exit_code_6() -> None:
    with pytest.raises(TenantOverQuota) as caught:
        check_quota("lab", Quota(clusters=2, nodes=8, price=1.5), Holding(2, 6, 1.2), Holding(1, 4, 0.25))
    assert caught.value.exit_code == 6
    assert str(caught.value) == (
        "Tenant lab would exceed its quota: clusters: 2 clusters allowed, 2 in use, 1 more wanted; "
        "nodes: 8 nodes allowed, 6 in use, 4 more wanted"
    )
    assert caught.value.to_json()["error"] == "over-quota"
    assert caught.value.to_json()["excess"][1] == {"what": "nodes", "limit": 8, "has": 6, "wants": 4}


def test_a_quota_of_nothing_allows_nothing() -> None:
    with pytest.raises(TenantOverQuota, match=r"price: 0 an hour allowed, 0 in use, 0.1 more wanted"):
        check_quota("lab", Quota(price=0.0), Holding(), Holding(1, 1, 0.1))
