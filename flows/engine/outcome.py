"""What a task run came to, as plain as if the task had been called: nothing, or the error it raised."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import httpx
from prefect.client.schemas.objects import State
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.futures import PrefectWrappedFuture

from coopr_core.errors import CooprError
from coopr_core.work.job.run import Unserved


def outcome(run: PrefectWrappedFuture[Any, Any]) -> Future[None]:
    """Return a future that ends with the task run; it raises ``Unserved`` when the server's trouble ended it."""
    told: Future[None] = Future()
    run.wrapped_future.add_done_callback(lambda ended: _tell(told, ended))
    return told


def _tell(told: Future[None], ended: Future[Any]) -> None:
    error = _error(ended)
    if isinstance(error, httpx.HTTPError | ConcurrencySlotAcquisitionError):
        error = Unserved(f"Prefect could not run it: {type(error).__name__}: {error}")
    if error is None:
        told.set_result(None)
    else:
        told.set_exception(error)


def _error(ended: Future[Any]) -> BaseException | None:
    """Return what a task run failed of; None when it succeeded."""
    try:
        state = ended.result()
    except BaseException as error:  # noqa: BLE001 - the edge to Prefect's engine, whose own failure is looked at
        return error
    if isinstance(state, State) and state.is_completed():
        return None
    data = getattr(state, "data", None)
    if not isinstance(data, BaseException):  # a result record, around what was raised
        data = getattr(data, "result", None)
    return data if isinstance(data, BaseException) else CooprError(str(getattr(state, "message", "") or state))
