"""What is said of operations in one place is what table, planner, flows, deployments and commands go by."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from operation_plugin import installed_reload

from coopr_core.errors import CooprError, InvalidInput
from coopr_core.model.courses import NODE_ACTIONS, SERVICE_ACTIONS, Action
from coopr_core.model.operations import (
    COURSES,
    ON_ACTIVE,
    ON_COMPLETE,
    Operation,
    Verb,
    course_named,
    operation_named,
    operations,
)
from coopr_core.operations.registry import declaration, declaration_of, verbs


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Path]:
    with installed_reload(tmp_path / "site") as path:
        yield path


@pytest.mark.parametrize("verb", verbs(), ids=lambda verb: verb.command)
def test_every_verb_is_declared_and_every_parameter_of_its_own_described(verb: Verb) -> None:
    declared = declaration(verb)
    assert declared.verb == verb
    if verb.command != "create":  # its flow is written out, for its groups of values
        assert {each.name for each in declared.parameters} == set(declared.descriptions)
        assert all(each.kind is not each.VAR_KEYWORD for each in declared.parameters)
        assert declared.summary.endswith(".")


@pytest.mark.parametrize("operation", Operation)
def test_every_operation_has_a_rule_courses_of_known_actions_and_a_declaration(operation: Operation) -> None:
    assert operation.courses
    for course in operation.courses:
        assert set(course.actions) <= {*NODE_ACTIONS, *SERVICE_ACTIONS}
        assert course_named(course.name) is course
    assert operation in declaration_of(operation).operations
    assert Operation(str(operation)) is operation


def test_actions_are_written_once_and_an_action_is_a_machines_or_a_services() -> None:
    assert (*NODE_ACTIONS, *SERVICE_ACTIONS) == tuple(action.value for action in Action)


def test_a_verb_whose_module_declares_nothing_says_what_is_missing() -> None:
    with pytest.raises(CooprError, match="'dance' cannot be loaded") as caught:
        declaration(Verb("dance_cluster", "dance", "Dance.", home="coopr_core.operations.scale"))
    assert "coopr_core.operations.scale has to declare DANCE" in caught.value.hint


def test_another_operation_of_a_name_that_is_there_is_refused() -> None:
    scale = Operation.SCALE
    assert Operation.declare("SCALE", scale.rule, scale.verb, *scale.courses) is scale
    with pytest.raises(ValueError, match="an operation SCALE already"):
        Operation.declare("SCALE", ON_COMPLETE, scale.verb, *scale.courses)


def test_an_operation_that_is_installed_is_known_to_a_process_that_has_not_heard_of_it(module: Path) -> None:
    code = (
        "import sys; from coopr_core.model.operations import Operation, operation_named;"
        "assert 'coopr_reload' not in sys.modules;"
        "print(repr(Operation('RELOAD_SERVICES')), Operation('RELOAD_SERVICES').courses[0].actions)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "<Operation.RELOAD_SERVICES: 'RELOAD_SERVICES'> ('BOOTSTRAP', 'CONFIGURE')"


def test_each_course_of_a_package_is_found_by_its_own_name(module: Path) -> None:
    one = "Course(texts(Action.BOOTSTRAP, Action.CONFIGURE), rolling=True)"
    more = 'Course(texts(Action.STOP), name="RELOAD_OUT"), Course(texts(Action.START), name="RELOAD_IN")'
    assert one in module.read_text()
    module.write_text(module.read_text().replace(one, more))
    for name, actions in (("RELOAD_OUT", ("STOP",)), ("RELOAD_IN", ("START",))):
        course = course_named(name)
        assert course is not None
        assert course.actions == actions
    assert course_named("RELOAD_SERVICES") is None


def test_an_operation_that_is_not_installed_is_none() -> None:
    assert course_named("RELOAD_SERVICES") is None
    with pytest.raises(InvalidInput, match="There is no operation 'RELOAD_SERVICES'"):
        operation_named("RELOAD_SERVICES")
    assert set(operations()) == set(Operation)
    assert set(COURSES) >= {"SCALE_OUT", "SCALE_IN"}


def test_what_a_record_names_can_be_read_when_its_package_is_gone() -> None:
    gone = Operation.recorded("RELOAD_SERVICES")
    assert (str(gone), gone.name, gone.rule, gone.courses) == ("RELOAD_SERVICES", "RELOAD_SERVICES", ON_ACTIVE, ())
    with pytest.raises(CooprError, match="'reload-services' cannot be loaded"):
        declaration_of(gone)
    assert Operation.recorded("SCALE") is Operation.SCALE
    assert gone not in operations()
