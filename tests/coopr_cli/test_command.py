"""The command's own manners: light, clear, with the documented exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Coopr, start

HEAVY = ("prefect", "sqlalchemy", "pydantic", "rich", "fabric", "paramiko", "asyncssh", "networkx", "yaml", "libcloud")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--help"], "Templates and constraints in"),
        (["create", "--help"], "Usage: coopr create"),
        (["start", "--help"], "Usage: coopr start"),
        (["retry", "--help"], "Usage: coopr retry"),
    ],
)
def test_help_imports_nothing_heavy(words: list[str], told: str) -> None:
    program = f"import sys\nfrom coopr_cli.main import main\ntry: main({words})\nexcept SystemExit: pass\n"
    program += "print(sorted(sys.modules), file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told in ended.stdout
    loaded = {name.partition(".")[0] for name in eval(ended.stderr)}
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_lists_every_command(coopr: Coopr, words: tuple[str, ...]) -> None:
    outcome = coopr(*words)
    text = outcome.out + outcome.err
    for command in ("plan", "create", "apply", "delete", "list", "status", "show", "tasks", "logs", "ssh", "exec"):
        assert f"\n  {command} " in text


def test_a_command_of_ours_is_found_without_looking_for_those_of_other_packages(
    coopr: Coopr, monkeypatch: pytest.MonkeyPatch
) -> None:
    import coopr_cli.main

    def looked() -> dict[str, str]:
        raise AssertionError("all commands were listed")

    monkeypatch.setattr(coopr_cli.main, "known_commands", looked)
    outcome = coopr("events", "--help")
    assert (outcome.code, "Usage: coopr events" in outcome.out) == (0, True)
    with pytest.raises(AssertionError, match="were listed"):
        coopr("evnts")


def test_every_command_has_help(coopr: Coopr) -> None:
    from coopr_cli.main import COMMANDS

    for command in COMMANDS:
        outcome = coopr(command, "--help")
        assert outcome.code == 0
        assert "Usage: coopr" in outcome.out


def test_an_unknown_command_is_a_usage_error_with_near_names(coopr: Coopr) -> None:
    outcome = coopr("crate")
    assert outcome.code == 3
    assert "did you mean create" in outcome.err


def test_an_unknown_option_is_a_usage_error(coopr: Coopr) -> None:
    outcome = coopr("list", "--colour")
    assert outcome.code == 3
    assert "--colour" in outcome.err


def test_the_version_is_the_distributions(coopr: Coopr) -> None:
    from importlib.metadata import version

    assert coopr("--version").out == f"coopr {version('coopr-prefect')}\n"


def test_errors_are_json_when_json_is_asked_for(coopr: Coopr) -> None:
    outcome = coopr("show", "nobody", "-o", "json")
    assert outcome.code == 8
    assert outcome.json["error"] == "not-found"
    assert outcome.json["exit_code"] == 8


def test_creating_without_a_terminal_and_without_yes_is_refused(coopr: Coopr) -> None:
    outcome = coopr("create", "--template", "nats", "--nodes", "1")
    assert outcome.code == 10
    assert "-y" in outcome.err
    assert coopr("list", "--json").json == []


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--template", "natz"), 8, "nats"),
        (("--template", "nats", "--services", "nats-servr"), 3, "nats-server"),
        (("--template", "nats", "--provider", "locl"), 8, "local"),
        (("--template", "nats", "--nodes", "0"), 3, "--nodes"),
        (("--template", "nats", "--nodes", "5000"), 3, "5000"),
        (("--template", "nats", "--nodes", "many"), 3, "many"),
        (("bad name", "--template", "nats"), 3, "name"),
        (("--template", "nats", "--set", "novalue"), 3, "KEY=VALUE"),
        (("--template", "nats", "--config", "/nowhere.yaml"), 3, "/nowhere.yaml"),
        (("--template", "nats", "--set", "x=%ip.service.nobody%"), 3, "nobody"),
        (("--template", "nats", "--set", "nats.port=4333"), 3, 'did you mean "nats.client_port"'),
        (("--template", "nats", "--set", "colour=red"), 3, "config.colour: no service of template nats reads it"),
        (("--template", "nats", "--hardware-type", "huge"), 8, "huge"),
        ((), 3, "--template"),
    ],
)
def test_bad_input_is_one_clear_error_and_nothing_is_created(
    coopr: Coopr, words: tuple[str, ...], code: int, says: str
) -> None:
    outcome = coopr("create", "-y", *words)
    assert outcome.code == code, outcome.err
    assert says in outcome.err
    assert coopr("list", "--json").json == []


def test_a_plan_refuses_a_slip_in_a_key_and_warns_of_a_key_that_create_would_refuse(
    coopr: Coopr, tmp_path: Path
) -> None:
    words = ("plan", "--template", "nats", "--set")
    outcome = coopr(*words, "nats.port=4333")
    assert (outcome.code, "nats.client_port" in outcome.err) == (3, True)
    outcome = coopr(*words, "colour=red")
    assert (outcome.code, "Warning: config.colour: no service of template nats reads it" in outcome.err) == (0, True)
    assert coopr(*words, "colour=red", "-o", str(tmp_path / "nats.plan")).code == 3


@pytest.mark.parametrize("command", ["create", "plan", "configure"])
def test_the_example_of_the_help_is_a_key_that_is_read(coopr: Coopr, command: str) -> None:
    example = re.search(r"e\.g\.\s+(\S+=\S+);", coopr(command, "--help").out)
    assert example is not None
    assert coopr("plan", "--template", "nats", "--set", example[1], "--json").json["problems"] == []


def test_a_broken_config_file_is_named_with_its_line(coopr: Coopr, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("nats:\n  port: [1, 2\nnext: 1\n")
    outcome = coopr("create", "-y", "--template", "nats", "--config", str(file))
    assert outcome.code == 3
    assert f"{file}:3" in outcome.err


def test_a_broken_catalog_is_named_with_file_and_line(coopr: Coopr, tmp_path: Path) -> None:
    services = tmp_path / "services"
    services.mkdir()
    (services / "bad.json").write_text('{\n  "name": "bad",\n  "dependencies": {,}\n}\n')
    outcome = coopr("plan", "--template", "nats", "--catalog", str(tmp_path))
    assert outcome.code == 3
    assert f"{services / 'bad.json'}:3" in outcome.err


def test_the_seed_example_plans_the_namenode_before_all_that_needs_it(coopr: Coopr) -> None:
    from shared_reference import reference

    templates = str(reference("coopr-templates"))
    words = ("plan", "--catalog", templates, "--template", "hadoop-singlenode", "--nodes", "1")
    outcome = coopr(*words)
    assert outcome.code == 0
    assert "37 tasks in 37 stages" in outcome.out
    order = [(task["action"], task["service"]) for stage in coopr(*words, "--json").json["stages"] for task in stage]
    wanted = [
        ("INITIALIZE", "hadoop-hdfs-namenode"),
        ("START", "hadoop-hdfs-namenode"),
        ("START", "hadoop-hdfs-datanode"),
        ("INITIALIZE", "hadoop-yarn-resourcemanager"),
        ("START", "hadoop-yarn-resourcemanager"),
    ]
    positions = [order.index(step) for step in wanted]
    assert len(order) == 37
    assert positions == sorted(positions)


def test_an_impossible_layout_is_explained(coopr: Coopr, tmp_path: Path) -> None:
    folder = tmp_path / "clustertemplates"
    folder.mkdir()
    (folder / "tight.yaml").write_text(
        "name: tight\n"
        "parent: nats\n"
        "constraints: {services: {nats-server: {quantities: {min: 2, max: 2}}}, size: {min: 1, max: 9}}\n"
    )
    words = ("plan", "--catalog", str(tmp_path), "--template", "tight", "--nodes", "1")
    outcome = coopr(*words)
    assert outcome.code == 6
    assert "services.nats-server.quantities.min = 2" in outcome.err
    carried = coopr(*words, "--json")
    assert carried.code == 6
    assert carried.json["error"] == "unsatisfiable"


@pytest.mark.parametrize("suffix", [".svg", ".dot", ".mmd"])
def test_a_plan_is_drawn(coopr: Coopr, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"plan{suffix}"
    assert coopr("plan", "--template", "webapp", "--nodes", "4", "--graph", str(file)).code == 0
    drawn = file.read_text()
    assert "webapp" in drawn
    assert "INITIALIZE" in drawn


def test_a_plan_cannot_be_drawn_into_something_unknown(coopr: Coopr, tmp_path: Path) -> None:
    outcome = coopr("plan", "--template", "webapp", "--nodes", "4", "--graph", str(tmp_path / "plan.gif"))
    assert outcome.code == 3
    assert ".svg" in outcome.err


def test_a_saved_plan_is_refused_when_the_catalog_changed(coopr: Coopr, tmp_path: Path) -> None:
    folder = tmp_path / "clustertemplates"
    folder.mkdir()
    template = folder / "mine.yaml"
    template.write_text("name: mine\nparent: nats\n")
    file = tmp_path / "mine.plan"
    saved = coopr("plan", "later", "--catalog", str(tmp_path), "--template", "mine", "--nodes", "3", "-o", str(file))
    assert saved.code == 0
    template.write_text("name: mine\nparent: nats\ndefaults: {config: {added: 1}}\n")
    outcome = coopr("apply", str(file))
    assert outcome.code == 10
    assert "template mine" in outcome.err
    assert coopr("list", "--json").json == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "coopr-plan-file", "version": 99}'])
def test_what_is_no_plan_file_is_said_so(coopr: Coopr, tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.plan"
    file.write_text(text)
    outcome = coopr("apply", str(file))
    assert outcome.code == 3
    assert str(file) in outcome.err


def test_detailed_exit_codes_tell_scripts_that_there_is_something_to_do(coopr: Coopr) -> None:
    words = ("plan", "--template", "nats", "--nodes", "3")
    assert (coopr(*words).code, coopr(*words, "--detailed-exitcode").code) == (0, 2)


def test_catalog_validate_reports_every_problem_at_once(coopr: Coopr, tmp_path: Path) -> None:
    services = tmp_path / "services"
    services.mkdir()
    (services / "one.json").write_text('{"name": "one", "dependecies": {}}')
    (services / "two.yaml").write_text("name: two\nprovisioner: {actions: [install]}\n")
    outcome = coopr("catalog", "validate", str(tmp_path), "--json")
    assert outcome.code == 3
    files = {Path(problem["file"]).name for problem in outcome.json["problems"]}
    assert {"one.json", "two.yaml"} <= files
    assert outcome.json["errors"] >= 2


def test_the_public_catalog_is_valid_and_its_flaws_are_warnings(coopr: Coopr) -> None:
    from shared_reference import reference

    outcome = coopr("catalog", "validate", str(reference("coopr-templates")), "--json")
    assert outcome.code == 0
    assert outcome.json["errors"] == 0
    assert outcome.json["warnings"] > 0


def test_catalog_show_prints_an_entity_as_yaml_that_loads_again(coopr: Coopr) -> None:
    import yaml

    shown = yaml.safe_load(coopr("catalog", "show", "nats-server").out)
    assert shown["name"] == "nats-server"
    assert json.loads(coopr("catalog", "show", "nats-server", "-o", "json").out)["name"] == "nats-server"


def test_no_reachable_server_is_one_clear_error(prefect_server: object) -> None:
    process = start("create", "-y", "--template", "nats", env={"PREFECT_API_URL": "http://127.0.0.1:9/api"})
    _, err = process.communicate(timeout=60)
    assert process.returncode in (1, 4)
    assert "http://127.0.0.1:9/api" in err
    assert "Traceback" not in err
