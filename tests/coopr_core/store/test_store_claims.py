from __future__ import annotations

import os
import subprocess
import sys

from coopr_core.store import claims


def test_a_living_process_is_not_dead() -> None:
    assert not claims.is_dead(claims.claimant())
    assert claims.claimant() == claims.claimant()
    assert claims.shown(claims.claimant()).startswith(f"process {os.getpid()} on ")


def test_a_process_that_ended_is_dead_even_before_its_parent_noticed() -> None:
    code = "from coopr_core.store import claims; print(claims.claimant())"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    claim = process.stdout.read().strip()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert claims.is_dead(claim)
    process.wait()
    assert claims.is_dead(claim)


def test_a_process_number_used_again_is_another_process() -> None:
    host_and_pid, _, start = claims.claimant().rpartition("-")
    assert claims.is_dead(f"{host_and_pid}-{int(float(start)) - 1}")


def test_nothing_is_known_of_processes_elsewhere() -> None:
    assert not claims.is_dead("another-host:1:0123456789ab-1")
    assert not claims.is_dead(f"{claims.claimant().partition(':')[0]}:4000000:0123456789ab-1")
    for odd in ("", "me", "a:b", "a:1", "a:1:", "::"):
        assert not claims.is_dead(odd)
        assert claims.shown(odd) is not None
