"""Whose a flow run is: the installation it was made for, as a tag, and the refusal of runs of another's.

Promise: where two installations share a Prefect server, and even a work pool, a run is only ever done against the store
it was made for; every other process refuses it before it does anything. Costs a look into the store per run.
"""

from __future__ import annotations

import logging
import re

from prefect import runtime

from coopr_core.errors import NotFound, Refused
from coopr_core.settings import load_settings
from coopr_core.store import Store
from flows.engine.run_log import flow_run_emitter

TAG = "installation:"
"""What the tag begins with that deployments and flow runs carry; the installation's id follows."""

_JOB = re.compile(r"job:(\d{8,}-\d{3,})")


def tag_of(store: Store) -> str:
    """Return the tag of the installation whose store this is."""
    return f"{TAG}{store.installation}"


def own_tag() -> str:
    """Return the tag of this process' installation."""
    with Store.open() as store:
        return tag_of(store)


def installations(tags: list[str] | set[str]) -> set[str]:
    """Return the ids of the installations that these tags name."""
    return {tag.removeprefix(TAG) for tag in tags if tag.startswith(TAG)} - {""}


def refuse_runs_of_others() -> None:
    """Raise ``Refused`` in a flow run that was made for, or has begun in, another installation than this process'."""
    with Store.open() as store:
        meant = installations(runtime.flow_run.tags)
        if store.installation in meant or (not meant and not _begun_elsewhere(store)):
            return
        whose = f"installation {' or '.join(sorted(meant))}" if meant else "another installation"
        text = (
            f"this flow run belongs to {whose}, and this process works for installation {store.installation} "
            f"({load_settings().shown_database_url}): nothing was done"
        )
        flow_run_emitter()(logging.ERROR, text)
        raise Refused(
            text,
            hint="start a worker with that installation's settings, on the work pool that `coopr deploy` names",
        )


def _begun_elsewhere(store: Store) -> bool:
    """Whether a run without an installation, begun before there were any, has a job that this store does not know."""
    tags = runtime.flow_run.tags
    begun = [match[1] for tag in tags if (match := _JOB.fullmatch(tag))]
    if not begun or store.job_of_flow_run(str(runtime.flow_run.id)) is not None:
        return False
    try:
        clusters = {store.cluster_with_id(store.job(job).cluster_id).name for job in begun}
    except NotFound:
        return True
    return not any(f"cluster:{name}" in tags for name in clusters)
