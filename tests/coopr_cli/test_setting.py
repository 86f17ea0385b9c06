"""`--set KEY=VALUE` as it is typed: what reaches the config, and what is refused with what to write."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from command_line import Coopr

from coopr_cli.request import read_config
from coopr_cli.setting import read_settings
from coopr_core.errors import InvalidInput


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("s3cr #et", "s3cr #et"),
        ("p@ss: word", "p@ss: word"),
        ("1_000", "1_000"),
        ("64", 64),
        ("", ""),
        ("a=b", "a=b"),
    ],
)
def test_a_setting_is_what_a_file_of_the_catalog_would_say(coopr: Coopr, typed: str, value: Any) -> None:
    outcome = coopr("plan", "-t", "nats", "-n", "1", "--set", f"nats.max_file={typed}", "-o", "json")
    assert outcome.json["request"]["config"] == {"nats": {"max_file": value}}


@pytest.mark.parametrize(
    "typed", ["0644", "2.10", "1e3", ".inf", "{1: a}", "{a: 1, a: 2}", "!!binary aGVsbG8=", "&a [*a]"]
)
def test_a_setting_that_would_be_changed_is_refused_with_what_to_write(coopr: Coopr, typed: str) -> None:
    outcome = coopr("plan", "-t", "nats", "-n", "1", "--set", f"nats.max_file={typed}", "--json")
    assert outcome.code == 3
    (problem, *_) = outcome.json["problems"]
    assert problem["file"] == "--set nats.max_file"
    written = shlex.split(outcome.json["hint"].partition(": ")[2])
    again = coopr("plan", "-t", "nats", "-n", "1", *written, "--json")
    assert again.json["request"]["config"] == {"nats": {"max_file": typed}}


def test_a_password_that_is_refused_is_not_shown() -> None:
    with pytest.raises(InvalidInput) as refused:
        read_settings(["db.password=&hush"])
    assert "hush" not in str(refused.value) + refused.value.hint
    assert "--set 'db.password=\"...\"'" in refused.value.hint


@pytest.mark.parametrize(
    "both", [("a=1", "a.b=2"), ("a.b=2", "a=1"), ("a.b.c=1", "a.b=[x]"), ("a=null", "a.b=1"), ("a={b: 1}", "a.b.c=2")]
)
def test_two_settings_of_which_one_would_be_lost_are_refused(both: tuple[str, str]) -> None:
    with pytest.raises(InvalidInput, match="the other something else, and would be lost"):
        read_settings(both)


def test_settings_are_laid_over_one_another_and_over_files(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("a: {x: 1, y: 2}\n")
    assert read_config([str(file)], ["a.x=3", "a={z: 4}", "b\\.c=5", "a.x=6"]) == {
        "a": {"x": 6, "y": 2, "z": 4},
        "b.c": 5,
    }


@pytest.mark.parametrize("setting", ["a", "=x", "a..b=1", " a=1", "a.=1"])
def test_what_is_no_key_and_value_is_said_so(setting: str) -> None:
    with pytest.raises(InvalidInput, match="is not KEY=VALUE"):
        read_settings([setting])


@pytest.mark.parametrize("name", ["c.yaml", "c.json"])
def test_numbers_that_would_be_changed_are_refused_in_config_files(coopr: Coopr, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"nats":\n {"version": 2.10}}')
    outcome = coopr("plan", "-t", "nats", "--config", str(tmp_path / name))
    assert outcome.code == 3
    assert f'{tmp_path / name}:2: nats.version: 2.10 would reach a script as 2.1: write "2.10"' in outcome.err


def test_numbers_that_would_be_changed_are_refused_in_requests(coopr: Coopr, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("template: nats\nconfig: {nats: {version: 2.10}}\n")
    outcome = coopr("plan", "--from", str(tmp_path / "r.yaml"))
    assert (outcome.code, "config.nats.version: 2.10" in outcome.err) == (3, True)


def test_what_is_printed_as_yaml_reads_as_what_it_was(coopr: Coopr, tmp_path: Path) -> None:
    config = {"nats": {"max_file": "1e3", "max_memory": "0o17", "start_timeout": 1e20, "version": "2.10"}}
    (tmp_path / "c.json").write_text(json.dumps(config))
    printed = coopr("plan", "-t", "nats", "--config", str(tmp_path / "c.json"), "-o", "yaml").out
    (tmp_path / "r.yaml").write_text(printed)
    again = coopr("plan", "--from", str(tmp_path / "r.yaml"), "-o", "json").json
    assert again["request"]["config"] == config
