"""A job that this process has claimed, run as part of the flow it is in: watched, stopped and told of."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from prefect.exceptions import TerminationSignal

from coopr_core.errors import Interrupted
from coopr_core.planner import Plan, Schedule
from coopr_core.settings import load_settings
from coopr_core.work.halt import Halt
from coopr_core.work.job.after_failure import AfterFailure
from coopr_core.work.job.context import JobContext
from coopr_core.work.job.run import JobRun
from flows.engine.context import flow_task_runner, is_deployed
from flows.engine.progress import Progress
from flows.engine.run_log import flow_run_emitter
from flows.engine.tag_limits import only_limited_tags
from flows.outage import ServerGone, told, watched
from flows.stages import run_stages


def run_job(
    context: JobContext,
    *,
    schedule: Schedule | None = None,
    max_concurrency: int | None = None,
    finish: Callable[[], None] | None = None,
) -> None:
    """Run what is left of the job, to its end in the store; ``finish`` is done when every task has succeeded.

    Raises what ``JobRun.run`` raises; a signal that ended a deployed run goes on to Prefect, which knows whether it was
    a cancellation.
    """
    settings, job, parameters = load_settings(), context.job, context.parameters
    plan, runner = Plan.from_json(context.store.recorded_plan(job.id)), flow_task_runner()
    progress = Progress(job, plan, context.succeeded, flow_run_emitter())
    run = JobRun(
        context=context,
        plan=plan,
        schedule=schedule or parameters.schedule,
        max_concurrency=max_concurrency or parameters.max_concurrency or settings.max_concurrency,
        teller=progress,
        after_failure=AfterFailure(context.store, job, context.actions, parameters.policy),
        finish=finish,
        cut_off_by=lambda error: told(error) if isinstance(error, httpx.HTTPError) else None,
    )

    def cut_off(gone: ServerGone) -> None:
        context.halt.to(Halt.CUT_OFF, gone)

    try:
        with watched(cut_off), only_limited_tags():
            run.run(lambda: run_stages(run, runner, settings.attempts), (KeyboardInterrupt, TerminationSignal))
    except Interrupted as error:
        if isinstance(error.__cause__, TerminationSignal) and is_deployed():
            raise error.__cause__ from None
        raise
    finally:
        progress.close()
