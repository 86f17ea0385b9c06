"""What makes a function one of our flows: the server it runs on, whose run it is, and how it goes on when run again."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast
from uuid import uuid4

import httpx
from prefect import Flow, runtime, tags
from prefect.context import TagsContext
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.flow_runs import suspend_flow_run

from coopr_core.work.job.conclusion import Paused
from flows.belonging import TAG, own_tag, refuse_runs_of_others
from flows.engine.context import is_deployed
from flows.engine.run_log import FLOWS, own_logger
from flows.operation import continue_begun
from flows.outage import told, watched
from flows.parameters import documented, grouped, in_form, with_former_names
from flows.server import ensure_server, server_replaced

STARTED = "PREFECT__FLOW_RUN_ID"
"""In the environment of a process that Prefect has started for one run of a deployment."""

P = ParamSpec("P")
R = TypeVar("R")


class ClusterFlow(Flow[P, R]):
    """A flow that finds or starts coopr's own Prefect server when it is called where none is named.

    Its runs carry the tag of this process' installation. The values of a group of parameters may be given one by one.
    """

    def with_options(self, *args: Any, **options: Any) -> ClusterFlow[P, R]:
        """Return the same flow with other options, such as ``task_runner``; see ``prefect.Flow.with_options``."""
        flow = super().with_options(*args, **options)
        flow.__class__ = ClusterFlow  # Prefect makes a plain Flow, whatever it was asked of
        return cast(ClusterFlow[P, R], flow)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the flow, see ``prefect.Flow.__call__``."""
        kwargs = grouped(self.fn, kwargs)
        ensure_server()
        own_logger()
        with tags(own_tag()), watched():
            try:
                return super().__call__(*args, **kwargs)
            except ObjectNotFound as error:
                raise server_replaced() from error
            except PrefectHTTPStatusError as error:
                if error.response.status_code not in (401, 403):
                    raise
                raise server_replaced() from error
            except httpx.TransportError as error:
                raise told(error) from error

    def validate_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Check what a run is given, see ``prefect.Flow.validate_parameters``."""
        checked = super().validate_parameters(grouped(self.fn, parameters))
        return {name: value for name, value in checked.items() if name in self._declared.parameters}

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return what is recorded of a run's parameters, see ``prefect.Flow.serialize_parameters``."""
        return super().serialize_parameters(grouped(self.fn, parameters))

    @property
    def __signature__(self) -> inspect.Signature:
        """The signature that the flow's form is made of."""
        return in_form(inspect.signature(self.fn))

    @property
    def _declared(self) -> inspect.Signature:
        """The signature of the function that was made a flow."""
        return inspect.signature(inspect.unwrap(self.fn))


def cluster_flow(name: str, run_name: str, *, one_job: bool = True) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """Make a function the flow ``name``; its docstring, and their types, describe the flow's parameters.

    When Prefect runs a flow run again (the user pressed "Retry", its worker was lost), the job that it had started
    goes on instead of the function being called. Not so with ``one_job`` False: the function has several jobs and finds
    out itself how far it came.
    """

    def wrap(function: Callable[P, R]) -> Flow[P, R]:
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            own_logger()
            refuse_runs_of_others()
            with TagsContext(current_tags={tag for tag in TagsContext.get().current_tags if not tag.startswith(TAG)}):
                try:
                    begun: Any = continue_begun() if one_job else None
                    return function(*args, **kwargs) if begun is None else begun
                except Paused:
                    _suspend()
                    raise

        signature = inspect.signature(function, eval_str=True)  # its names are known in its own module, not in this one
        started = with_former_names(signature) if STARTED in os.environ else signature
        run.__signature__ = started  # type: ignore[attr-defined]  # typeshed does not know it
        run.__annotations__ = inspect.get_annotations(function, eval_str=True)
        run.__doc__ = documented(function)
        summary = (function.__doc__ or "").partition("\n")[0]
        FLOWS.add(name)
        return ClusterFlow(
            run, name=name, flow_run_name=run_name, description=summary, persist_result=False, log_prints=False
        )

    return wrap


def _suspend() -> None:
    """Show the flow run of a paused job as suspended, if Prefect can start it again: its "Resume" continues the job."""
    if is_deployed() and not runtime.flow_run.parent_flow_run_id:
        with contextlib.suppress(RuntimeError, httpx.HTTPError):
            suspend_flow_run(key=str(uuid4()))
