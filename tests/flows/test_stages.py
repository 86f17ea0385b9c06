"""A job as task runs: no further ahead of the Prefect server than that can keep in mind."""

from __future__ import annotations

from pathlib import Path

import pytest
from flow_catalog import service, write_catalog

from coopr_core.work.job import lead


@pytest.mark.usefixtures("prefect_server")
def test_a_job_waits_for_the_server_to_have_recorded_its_task_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import create_cluster, stages

    told: list[int | None] = []

    known = stages.recorded_task_runs

    def recorded() -> int | None:
        told.append(known())
        return told[-1]

    monkeypatch.setattr(lead, "MOST_AHEAD", 4)
    monkeypatch.setattr(lead, "EVERY", 1)
    monkeypatch.setattr(lead, "STUCK_SECONDS", 60.0)
    monkeypatch.setattr(stages, "recorded_task_runs", recorded)
    catalog = write_catalog(tmp_path / "catalog", {"app": service(install="true", start="true")})
    create_cluster(name="ahead", template="tiny", size=2, catalog=[catalog])
    assert told[0] == 0
    assert max(number or 0 for number in told) >= 6  # of ten tasks, when the last was handed out
