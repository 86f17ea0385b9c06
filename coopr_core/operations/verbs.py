"""All that people can ask of clusters by a flow and a command: operations, a rebuild, and what steers their jobs."""

from __future__ import annotations

from coopr_core.model.operations import Verb, operations

REBUILD = Verb("rebuild_cluster", "rebuild", "Make a cluster again from its request, then delete the old one.")

_CONTROL = "coopr_core.operations.control"
RETRY = Verb("retry_cluster", "retry", "Run what has not succeeded of a cluster's last job.", _CONTROL)
PAUSE = Verb("pause_cluster", "pause", "Pause a cluster's running job: what runs ends, nothing new starts.", _CONTROL)
RESUME = Verb("resume_cluster", "resume", "Continue a cluster's paused job.", _CONTROL)
ABORT = Verb("abort_cluster", "abort", "End a cluster's job and the commands it runs.", _CONTROL)


def verbs() -> tuple[Verb, ...]:
    """Return what can be asked for: an operation each, a rebuild, which is two of them, what steers their jobs."""
    return tuple(dict.fromkeys((*(each.verb for each in operations()), REBUILD, RETRY, PAUSE, RESUME, ABORT)))
