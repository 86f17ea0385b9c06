"""No text ends a command: what a terminal cannot show is replaced, what is no text is refused, noise goes elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Coopr
from store_samples import new_cluster

from coopr_core.store import Store

NAME = "кластер"
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A locale with no letters but ASCII's, and Python kept from noticing."""


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose store has one cluster, with a name that few encodings have."""
    url = f"sqlite:///{tmp_path_factory.mktemp('named') / 'coopr.db'}"
    with Store.open(url) as store:
        new_cluster(store, NAME)
    return {"COOPR_DATABASE_URL": url}


def run(*words: str | bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command as a process of its own; no traceback ever."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONUTF8", "PYTHONIOENCODING")}
    command = [sys.executable, "-m", "coopr_cli", *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env={**kept, **environment})
    assert b"Traceback" not in done.stderr
    return done


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_what_the_terminal_cannot_show_is_replaced_and_nothing_else_changes(
    named: dict[str, str], encoding: str
) -> None:
    listed = run("list", **named, PYTHONIOENCODING=encoding)
    assert listed.returncode == 0
    row = listed.stdout.decode(encoding).splitlines()[1]
    assert row.split()[:3] == [NAME if encoding == "utf-8" else "?" * len(NAME), "00000001", "INCOMPLETE"]
    data = run("show", NAME, "-o", "json", **named, PYTHONIOENCODING=encoding)
    assert json.loads(data.stdout.decode())["name"] == NAME


def test_a_message_stays_true_where_its_letters_cannot_be_shown(named: dict[str, str]) -> None:
    missing = run("show", NAME + "2", **named, PYTHONIOENCODING="latin-1")
    assert missing.returncode == 8
    assert NAME.encode("ascii", "backslashreplace") in missing.stderr


@pytest.mark.parametrize("words", [("list", "-o", "yaml"), ("events", NAME), ("show", "missing", "-o", "json")])
def test_data_is_whole_in_every_encoding(named: dict[str, str], words: tuple[str, ...]) -> None:
    import yaml

    said = {encoding: run(*words, **named, PYTHONIOENCODING=encoding).stdout for encoding in ("utf-8", "ascii")}
    assert said["ascii"].isascii()
    wide, narrow = (list(yaml.safe_load_all(text.decode("utf-8").replace("\n{", "\n---\n{"))) for text in said.values())
    assert narrow == wide != [None]


def test_names_work_in_a_locale_without_their_letters(named: dict[str, str]) -> None:
    shown = run("show", NAME, **named, **C_LOCALE)
    assert shown.returncode == 0
    assert shown.stdout.decode("ascii").startswith("??????? (00000001)")


@pytest.mark.parametrize("locale", [C_LOCALE, {"LC_ALL": "C.UTF-8"}])
@pytest.mark.parametrize(
    "words",
    [("show", b"\xff\xfe"), ("create", b"caf\xe9", "-t", "nats"), ("plan", "-t", "nats", "--set", b"a=\xe9")],
)
def test_an_argument_that_is_no_text_is_one_clear_error(
    named: dict[str, str], words: tuple[str | bytes, ...], locale: dict[str, str]
) -> None:
    refused = run(*words, **named, **locale)
    assert refused.returncode == 3
    assert refused.stderr.startswith(b"Error: argument ")
    assert refused.stdout == b""


def test_files_are_read_as_utf8_in_every_locale(tmp_path: Path, named: dict[str, str]) -> None:
    config = tmp_path / "größe.yaml"
    config.write_text("größe: 日本\n", encoding="utf-8")
    planned = run("plan", "-t", "nats", "--config", str(config), "-o", "json", **named, **C_LOCALE)
    utf8 = run("plan", "-t", "nats", "--config", str(config), "-o", "json", **named, LC_ALL="C.UTF-8")
    assert (planned.returncode, json.loads(planned.stdout)) == (utf8.returncode, json.loads(utf8.stdout))
    (tmp_path / "broken.yaml").write_bytes(b"a: \xff\n")
    broken = run("plan", "-t", "nats", "--config", str(tmp_path / "broken.yaml"), **named)
    assert broken.returncode == 3
    assert b"is not UTF-8 text" in broken.stderr


def test_standard_input_that_is_no_text_is_one_clear_error(named: dict[str, str]) -> None:
    command = [sys.executable, "-m", "coopr_cli", "plan", "--from", "-"]
    done = subprocess.run(command, input=b"template: \xff\n", capture_output=True, env={**os.environ, **named})
    assert done.returncode == 3
    assert b"standard input" in done.stderr
    assert b"Traceback" not in done.stderr


def test_half_a_character_is_one_clear_error_also_in_this_process(coopr: Coopr) -> None:
    assert coopr("show", "\udcff").code == 3


def test_the_talk_of_prefects_threads_goes_into_a_file(tmp_path: Path) -> None:
    code = """
import logging, sys, threading, warnings
from coopr_cli.prefect_use import put_talk_aside
put_talk_aside()
logging.getLogger("EventsWorker").warning("Still processing items: 3 items remaining...")
logging.getLogger("prefect._internal.concurrency").error("Service 'EventsWorker' failed")
logging.getLogger("prefect.flow_runs").error("Encountered an exception")
warnings.warn("old fashioned")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
from prefect.logging.handlers import APILogWorker
print("ours", file=sys.stderr)
"""
    environment = {**os.environ, "COOPR_STATE_DIR": str(tmp_path), "PREFECT_LOGGING_LEVEL": "WARNING"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == ("", "ours\n")
    aside = (tmp_path / "logs" / "prefect-client.log").read_text()
    for said in ("Still processing items", "'EventsWorker' failed", "old fashioned", "ZeroDivisionError"):
        assert said in aside
