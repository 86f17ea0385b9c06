"""Telling how far a job is never holds the job up."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from coopr_core.catalog.entities import Service
from coopr_core.model.layout import ClusterLayout, Node
from coopr_core.model.operations import Operation
from coopr_core.model.records import JobRecord, TaskRecord
from coopr_core.model.states import JobState, TaskState
from coopr_core.planner import plan
from flows.server import ServerInfo


def test_a_server_that_is_slow_to_take_the_progress_keeps_no_task_waiting(
    prefect_server: ServerInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.engine import progress

    answers = threading.Event()
    told: list[float] = []

    def slow(*_artifact: object, **values: float) -> object:
        told.append(values["progress"])
        assert answers.wait(60)
        return uuid4()

    monkeypatch.setattr(progress, "create_progress_artifact", slow)
    monkeypatch.setattr(progress, "update_progress_artifact", slow)
    made = plan("CLUSTER_CREATE", ClusterLayout((Node(1000, services=("a",)),), {"a": Service(name="a")}))
    job = JobRecord("00000001-001", "00000001", Operation.CLUSTER_CREATE, JobState.RUNNING, datetime.now(UTC))
    tells = progress.Progress(job, made, 0, lambda level, text: None)
    for number, stage in enumerate(made.stages, start=1):
        task = stage[0]
        state = TaskState.RUNNING
        record = TaskRecord(f"{job.id}-{number:03d}", job.id, "00000001", number, task.node, task.action, "", state)
        tells.started(record)
        tells.ended(record)
    assert len(told) <= 1, "no answer has come yet, and yet all tasks have started and ended"
    answers.set()
    tells.close()
    assert told[-1] == 100.0
