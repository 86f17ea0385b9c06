"""A server that START leaves in the background of a node: it serves on, its log is found, and delete ends it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import Coopr
from flow_catalog import service, write_catalog
from watching import alive, wait_for

SERVER = "while :; do echo a line; sleep 0.1; done"


@pytest.mark.both
def test_what_start_leaves_running_writes_on_and_goes_with_its_node(
    coopr: Coopr, prefect_server: object, tmp_path: Path
) -> None:
    catalog = write_catalog(tmp_path, {"pages": service(start=f"({SERVER}) & echo started")})
    made = coopr("create", "behind", "--catalog", catalog, "--template", "tiny", "--nodes", "1", "-y")
    assert made.code == 0, made.err
    (start,) = [task["id"] for task in coopr("tasks", "behind", "--json").json if task["action"] == "START"]
    log = coopr("logs", start).out
    found = re.search(r"left running, with its output open: process (\d+) .* goes to (.*) on this node", log)
    assert found, log
    pid, kept = int(found[1]), Path(found[2])
    assert "started" in log
    size = kept.stat().st_size
    wait_for(lambda: kept.stat().st_size > size, "it writes on")
    assert kept.stat().st_mode & 0o077 == 0
    said = coopr("exec", "behind", "-o", "json", f"head -n 1 $COOPR_ROOT/var/log/coopr/pages/start-{start}.log").json
    assert said[0]["stdout"] in ("a line", "started")
    assert coopr("delete", "behind", "-y").code == 0
    assert not alive(pid)
