"""The talk with Prefect's server on this machine goes past every proxy, and `doctor` tells what the variables do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from command_line import Outcome, start
from prefect_server import api

from flows.server import ServerInfo

RUN = """
from flows import create_cluster
from flows.server import ensure_server
ensure_server()
from prefect import flow, runtime, task
@task
def step(number): return number
@flow
def steps():
    for number in range(3): step(number)
    return str(runtime.flow_run.id)
print(steps())
"""
SETS = [
    {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"},
    {"all_proxy": "socks5://127.0.0.1:9", "https_proxy": "socks://127.0.0.1:9", "NO_PROXY": "[::1]"},
]


def environment(**more: str) -> dict[str, str]:
    return {**{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}, **more}


def coopr(*words: str, **more: str) -> Outcome:
    process = start(*words, env=more)
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    return Outcome(process.returncode, out, err)


@pytest.mark.parametrize("proxies", SETS)
def test_task_runs_are_recorded_in_spite_of_proxies(prefect_server: ServerInfo, proxies: dict[str, str]) -> None:
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(command, env=environment(**proxies), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "EventsWorker failed" not in done.stderr
    sought = {"flow_runs": {"id": {"any_": [done.stdout.strip()]}}}
    deadline = time.monotonic() + 60
    while len(api(prefect_server, "/task_runs/filter", sought)) < 3:
        assert time.monotonic() < deadline, "the server never heard of the task runs"
        time.sleep(0.2)


def test_doctor_says_what_proxy_variables_do_to_the_talk_with_the_server(prefect_server: ServerInfo) -> None:
    def verdict(**more: str) -> dict[str, str]:
        checks = json.loads(coopr("doctor", "-o", "json", **more).out)["checks"]
        return next(dict(check) for check in checks if check["name"] == "proxies")

    usual = verdict(HTTPS_PROXY="http://127.0.0.1:9")
    assert usual["state"] == "ok"
    assert "HTTPS_PROXY" in usual["text"]
    assert "past the proxy" in usual["text"]
    strange = verdict(ALL_PROXY="socks://127.0.0.1:9")
    assert strange["state"] == "note"
    assert "ALL_PROXY" in strange["text"]
    elsewhere = verdict(ALL_PROXY="socks://127.0.0.1:9", PREFECT_API_URL="http://prefect.example:4200/api")
    assert elsewhere["state"] == "wrong"
    assert "prefect.example into NO_PROXY" in elsewhere["hint"]


def test_a_server_elsewhere_that_no_proxy_leads_to_is_one_error_that_names_the_variable() -> None:
    url = {"PREFECT_API_URL": "http://prefect.example:4200/api"}
    refused = coopr("server", "start", HTTP_PROXY="http://u:s3cret@127.0.0.1:9", **url)
    assert refused.code == 4
    assert "HTTP_PROXY" in refused.err
    assert "NO_PROXY" in refused.err
    unusable = coopr("server", "start", ALL_PROXY="socks://u:s3cret@127.0.0.1:9", **url)
    assert unusable.code == 4
    assert "the proxy of ALL_PROXY" in unusable.err
    assert "s3cret" not in refused.err + unusable.err
