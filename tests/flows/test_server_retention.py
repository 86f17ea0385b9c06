"""Our server's database does not grow for ever, and the user may say how long it keeps what."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect_server import api

from flows.server import ServerInfo
from flows.server_process import EVENT_DAYS, RUN_DAYS, _server_environment


def test_the_server_keeps_events_for_days_and_flow_runs_for_weeks(prefect_server: ServerInfo) -> None:
    server = api(prefect_server, "/admin/settings")["server"]
    vacuum = server["services"]["db_vacuum"]
    assert server["events"]["retention_period"] == f"P{EVENT_DAYS}D"
    assert vacuum["retention_period"] == f"P{RUN_DAYS}D"
    assert set(vacuum["enabled"]) == {"events", "flow_runs"}


@pytest.mark.parametrize(
    "name", ["PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"]
)
def test_who_wants_to_keep_it_longer_says_so_in_the_environment(name: str, tmp_path: Path) -> None:
    assert _server_environment({name: "P90D"}, tmp_path, 4200, "secret")[name] == "P90D"
