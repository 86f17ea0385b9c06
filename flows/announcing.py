"""Telling the world of operations: Prefect events ``coopr.cluster.*``, and the HTTP callbacks saved as blocks.

Promise: telling never fails or changes an operation: Prefect's client sends events by itself, callbacks are sent by a
thread in the order of the events, and what cannot be sent is logged. Only when it is over an operation waits for the
callbacks still on their way, ``PATIENCE_SECONDS`` at most. Costs one look at the cluster's nodes per event.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx
from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.events import emit_event

from blocks import HttpCallback
from coopr_core.errors import CooprError
from coopr_core.model.records import ClusterRecord, JobRecord, NodeRecord
from coopr_core.model.states import JobState
from flows.engine.run_log import flow_run_emitter

if TYPE_CHECKING:
    from coopr_core.store import Store

PREFIX = "coopr.cluster."
STARTED, LEASE_EXPIRING = f"{PREFIX}started", f"{PREFIX}lease-expiring"
ENDINGS: Mapping[JobState, str] = {
    JobState.SUCCEEDED: f"{PREFIX}succeeded",
    JobState.FAILED: f"{PREFIX}failed",
    JobState.ROLLED_BACK: f"{PREFIX}failed",
    JobState.INTERRUPTED: f"{PREFIX}failed",
    JobState.PAUSED: f"{PREFIX}paused",
}
"""What a job's state, once nobody works on it any more, is told as."""

VERSION = 1
"""The version of the payload: it grows when a field changes its meaning or goes, not when one comes."""

PATIENCE_SECONDS = 60
"""How long an operation waits at its end for callbacks that are still on their way."""

MOST_NODES = 1000
"""Prefect refuses events above 1.5 MB: of a larger cluster, only so many nodes are in the event; callbacks get all."""


@contextlib.contextmanager
def announced(store: Store, cluster: ClusterRecord, job: JobRecord) -> Iterator[None]:
    """Tell that a job starts, and when what is done inside is over, how it ended in the store."""
    with Announcer() as tell:
        tell(STARTED, store, cluster, job.id)
        try:
            yield
        finally:
            with tell.unharmed():
                event = ENDINGS.get(store.job(job.id).state)
                if event is not None:
                    tell(event, store, cluster, job.id)


class Announcer:
    """Sends events and callbacks; ``with Announcer() as tell: tell(event, store, cluster)``."""

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._log = flow_run_emitter()
        self._outbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._callbacks: list[HttpCallback] | None = None
        self._thread = threading.Thread(target=self._deliver, name="callbacks", daemon=True)

    def __call__(self, event: str, store: Store, cluster: ClusterRecord, job_id: str = "", **more: Any) -> None:
        """Tell of something that happened to the cluster, in that job if any; ``more`` is added to what is told."""
        with self.unharmed():
            payload = {**describe(event, store, cluster, job_id), **more}
            labels = {
                "prefect.resource.id": f"coopr.cluster.{cluster.id}",
                "prefect.resource.name": cluster.name,
                "coopr.installation": store.installation,
                "coopr.tenant": cluster.tenant,
                "coopr.template": cluster.template,
                **({"coopr.job": job_id, "coopr.operation": payload["job"]["operation"]} if job_id else {}),
            }
            emit_event(event, resource=labels, payload={**payload, "nodes": payload["nodes"][:MOST_NODES]})
            self._outbox.put(lambda: self._send(event, payload))

    @contextlib.contextmanager
    def unharmed(self) -> Iterator[None]:
        """Whatever goes wrong inside is logged and goes no further."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the edge of telling: an operation must not fail because of it
            self._log(logging.WARNING, f"a callback was not sent: {error or type(error).__name__}")

    def __enter__(self) -> Announcer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._outbox.put(None)
        self._thread.join(self._patience)
        if self._thread.is_alive():
            self._log(logging.WARNING, f"callbacks were still on their way after {self._patience:g} s and are given up")

    def _deliver(self) -> None:
        while (send := self._outbox.get()) is not None:
            with self.unharmed():
                send()

    def _send(self, event: str, payload: Mapping[str, Any]) -> None:
        if self._callbacks is None:
            self._callbacks = saved_callbacks()
        for callback in self._callbacks:
            if callback.wants(event, payload["cluster"]["tenant"]):
                try:
                    callback.send(event, payload)
                except CooprError as error:
                    self._log(logging.WARNING, f"{error}\n  hint: {error.hint}")


def saved_callbacks() -> list[HttpCallback]:
    """Return the callbacks saved as blocks on the Prefect server; none where the block type was never registered."""
    with get_client(sync_client=True) as client:
        try:
            documents = client.read_block_documents_by_type(HttpCallback.get_block_type_slug())
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
            return []
    return [HttpCallback._from_block_document(document) for document in documents]


def describe(event: str, store: Store, cluster: ClusterRecord, job_id: str = "") -> dict[str, Any]:
    """Return what an event says: the cluster, its job if any, and its nodes, as they are now, as JSON values."""
    now = store.cluster_with_id(cluster.id)
    return {
        "version": VERSION,
        "event": event,
        "time": datetime.now(UTC).isoformat(),
        "installation": store.installation,
        "cluster": {
            "id": now.id,
            "name": now.name,
            "tenant": now.tenant,
            "owner": now.owner,
            "state": str(now.state),
            "template": now.template,
            "provider": now.provider,
            "created": now.created.isoformat(),
            "expires_at": _time(now.expires_at),
            "protected": now.protected,
        },
        "job": _job(store.job(job_id)) if job_id else None,
        "nodes": [_node(node) for node in store.nodes(now.id)],
    }


def _job(job: JobRecord) -> dict[str, Any]:
    return {
        "id": job.id,
        "operation": str(job.operation),
        "state": str(job.state),
        "started": _time(job.started),
        "ended": _time(job.ended),
        "message": job.message,
        "flow_run_id": job.flow_run_id or str(runtime.flow_run.id or ""),
    }


def _node(node: NodeRecord) -> dict[str, Any]:
    return {
        "number": node.number,
        "host_name": node.host_name,
        "state": str(node.state),
        "hardware_type": node.hardware_type,
        "image_type": node.image_type,
        "services": list(node.services),
        "addresses": node.addresses,
    }


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
