"""What takes a while is told before it is waited for: the start of a server, and the end of what Ctrl-C stops."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from command_line import Coopr, start
from flow_catalog import service, write_catalog


def test_the_start_of_a_server_is_told_before_it_is_waited_for_and_so_is_control_c(tmp_path: Path) -> None:
    fresh = {"COOPR_STATE_DIR": str(tmp_path), "PREFECT_API_URL": ""}
    command = start("server", "start", env=fresh)
    assert command.stderr is not None
    assert command.stderr.readline() == "Starting a Prefect server, which takes some seconds ...\n"
    assert command.poll() is None
    command.send_signal(signal.SIGINT)
    assert command.stderr.readline().startswith("Interrupted: ending the server")
    assert command.stderr.read().strip() == "Error: interrupted"
    assert command.wait(60) == 130
    assert not (tmp_path / "server.json").exists()


def test_control_c_is_answered_while_what_runs_is_being_ended(
    prefect_server: object, tmp_path: Path, coopr: Coopr
) -> None:
    stubborn = "trap '' TERM INT HUP; for i in 1 2 3 4 5 6; do sleep 0.5; done; exit 1"
    catalog = write_catalog(tmp_path, {"app": service(install=stubborn)})
    command = start("create", "stubborn", "--catalog", catalog, "-t", "tiny", "-n", "1", "-y", env=dict(os.environ))
    assert command.stderr is not None
    for line in command.stderr:
        if " BOOTSTRAP " in line:
            break
    command.send_signal(signal.SIGINT)
    said = [line for line in command.stderr if not line.startswith("[")]
    assert command.wait(60) == 130
    assert said[0] == "Interrupted: ending what runs, then saving how it stands. Once more: do not wait.\n"
    assert said[1].startswith("Error: CLUSTER_CREATE of cluster stubborn was interrupted; its state is saved")
    assert coopr("delete", "-y", "stubborn").code == 0
