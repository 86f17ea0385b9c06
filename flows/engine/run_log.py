"""Our lines in Prefect's logs: one logger that reaches the API whatever Prefect's own level is, and no second copy.

Prefect's lines about our task runs (submitted, retried, finished, with a traceback when they fail) repeat what the
states say and cost as much as the run itself; a filter drops them, and the traceback of an error that is meant for the
user. Everything else of Prefect's, and other flows in the same process, is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache

from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler

from coopr_core.errors import CooprError

FLOWS: set[str] = set()
"""The names of our flows; whoever makes one adds its name."""

Emit = Callable[[int, str], None]


_ENDS_A_RUN = "initialize_run"
"""The function of Prefect's engine that logs how a run ended, of which our own lines tell more."""


class _NotAgain(logging.Filter):
    """Drops what our own lines say already."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be kept."""
        if getattr(record, "flow_name", None) not in FLOWS:
            return True
        if getattr(record, "task_run_id", None):
            return False
        error = record.exc_info[1] if record.exc_info else None
        of_the_end = record.funcName == _ENDS_A_RUN and record.levelno >= logging.INFO and not record.args
        return not isinstance(error, CooprError) and not of_the_end


@cache
def own_logger() -> logging.Logger:
    """Return the logger of our lines; asking for it silences the second copies."""
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_NotAgain())
    logger = logging.getLogger("coopr.runs")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(APILogHandler())
    return logger


def flow_run_emitter() -> Emit:
    """Return what writes to the log of the flow run we are in, from any thread."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if context is None or run is None or context.flow is None:
        return lambda level, text: None
    return _emitter({"flow_run_id": str(run.id), "flow_run_name": run.name, "flow_name": context.flow.name})


def task_run_emitter() -> Emit:
    """Return what writes to the log of the task run we are in, from any thread."""
    context = TaskRunContext.get()
    if context is None:
        return flow_run_emitter()
    run = context.task_run
    return _emitter(
        {
            "task_run_id": str(run.id),
            "flow_run_id": str(run.flow_run_id) if run.flow_run_id else None,
            "task_run_name": run.name,
            "task_name": context.task.name,
        }
    )


def _emitter(extra: dict[str, str | None]) -> Emit:
    logger = own_logger()
    return lambda level, text: logger.log(level, "%s", text, extra=extra)
