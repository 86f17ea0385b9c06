"""The flow ``collect-garbage``: names what is left over of clusters that are gone, and deletes it when told to."""

from __future__ import annotations

import logging
from typing import Any

from coopr_core.errors import CooprError
from coopr_core.maintenance.leftovers import delete_leftovers, find_leftovers
from coopr_core.store import Store
from flows.cluster_flow import cluster_flow
from flows.engine.run_log import flow_run_emitter
from flows.parameters import Confirmed, Tenant
from flows.vault import VAULT


@cluster_flow("collect-garbage", "collect-garbage")
def collect_garbage(delete: bool = False, tenant: Tenant = None, confirmed: Confirmed = "") -> dict[str, Any]:
    """Name, and delete when told to, what is left over: machines, logs and passwords' keys of clusters that are gone.

    Args:
        delete: Delete what is found; otherwise it is only named.
        tenant: Of whose clusters; of all tenants', and of clusters nobody knows, when left out.

    Returns:
        What was found, what of it was deleted, and what could not be looked at; raises when a deletion failed.
    """
    say = flow_run_emitter()
    with Store.open() as store:
        found = find_leftovers(store, VAULT, tenant)
        found.check(confirmed)
        for item in found.items:
            say(logging.INFO, f"left over: {item.kind} {item.name}, because {item.why}")
        for unseen in found.unseen:
            say(logging.WARNING, f"not looked at: {unseen}")
        results = delete_leftovers(store, found.items, VAULT, tenant=tenant, confirmed=confirmed) if delete else {}
    failed = {item: reason for item, reason in results.items() if reason}
    for item, reason in failed.items():
        say(logging.ERROR, f"{item.kind} {item.name} is still there: {reason}")
    if failed:
        raise CooprError(f"{len(failed)} of {len(results)} leftovers could not be deleted", hint="see the run's log")
    return {
        "found": [item.to_json() for item in found.items],
        "deleted": [item.to_json() for item in results],
        "not_looked_at": list(found.unseen),
    }
