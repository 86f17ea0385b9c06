"""What is checked before a cluster is touched, without Prefect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flow_catalog import service, write_catalog

from coopr_core.errors import CooprError, InvalidInput, NotFound
from coopr_core.operations.create import prepare_create
from coopr_core.work.passwords import asks_for_secrets, derive, uses_secrets


def test_a_request_becomes_layout_plan_and_json(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path, {"a": service(start="true")})
    prepared = prepare_create({"name": "c", "template": "tiny", "size": 2, "provider": None}, catalog=[catalog])
    assert [node.services for node in prepared.layout.nodes] == [("a",), ("a",)]
    assert prepared.provider.providertype == "local"
    assert prepared.expires_at is None
    shown = json.loads(json.dumps(prepared.to_json()))
    assert shown["tasks"] == sum(len(stage) for stage in shown["stages"]) == 8
    assert shown["stages"][0][0] == {"node": 1000, "host_name": "c1-1000.local", "action": "CREATE", "service": ""}
    assert shown["problems"] == []


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"template": "nope"}, NotFound, "nope"),
        ({"services": ["nope"]}, CooprError, "nope"),
        ({"provider": "nope"}, CooprError, "nope"),
        ({"size": 0}, InvalidInput, "--nodes: must be at least 1"),
        ({"size": 9}, CooprError, "9"),
        ({"name": "a b"}, InvalidInput, "is no cluster name"),
        ({"dns_suffix": "a..b"}, InvalidInput, "one of them is empty"),
        ({"lease": "soon"}, InvalidInput, "soon"),
        ({"nonsense": 1}, InvalidInput, "nonsense"),
        ({"config": {"x": "%host.service.b%"}}, InvalidInput, r"config\.x: .*no node has the service b"),
        ({"config": {"x": {"y": ["%what.is.this%"]}}}, InvalidInput, r"config\.x\.y\[0\]"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, values: dict[str, object], error: type[CooprError], message: str
) -> None:
    catalog = write_catalog(tmp_path, {"a": service(start="true")}, constraints={"size": {"max": 5}})
    with pytest.raises(error, match=message):
        prepare_create({"name": "c", "template": "tiny", **values}, catalog=[catalog])


def test_what_only_running_would_need_is_a_warning_for_a_plan_and_an_error_for_a_create(tmp_path: Path) -> None:
    alien = service(start="true")
    alien["provisioner"]["actions"]["start"]["type"] = "chef-solo"
    catalog = write_catalog(tmp_path, {"a": alien}, config={"x": "%ip.service.nobody%"})
    prepared = prepare_create({"name": "c", "template": "tiny"}, catalog=[catalog], strict=False)
    assert {problem.severity for problem in prepared.problems} == {"warning"}
    assert len(prepared.problems) >= 2
    with pytest.raises(InvalidInput, match="chef-solo") as caught:
        prepare_create({"name": "c", "template": "tiny"}, catalog=[catalog])
    assert "nobody" in str(caught.value)
    assert "nothing was created" in caught.value.hint


@pytest.mark.parametrize("text", ["+%Y-%m-%d", "%d{ISO8601} %p %c: %m%n", "http://x/?q=a%20b%20c", "s%cr%t"])
def test_text_with_percents_is_refused_with_the_text_to_write_and_that_is_accepted(tmp_path: Path, text: str) -> None:
    catalog = write_catalog(tmp_path, {"a": service(start="true")}, config={"log": text})
    with pytest.raises(InvalidInput) as refused:
        prepare_create({"name": "c", "template": "tiny"}, catalog=[catalog])
    assert "%literal('...')%" in refused.value.hint
    (problem,) = refused.value.problems
    written = json.loads(problem.message.partition(" write ")[2])
    assert written == f"%literal('{text}')%"
    prepare_create({"name": "c", "template": "tiny", "config": {"log": written}}, catalog=[catalog])


def test_macros_in_actions_are_checked_before_anything_is_created(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path, {"a": service(start="date +%Y-%m-%d; ask %config.web.port% %host.service.b%")})
    with pytest.raises(InvalidInput) as refused:
        prepare_create({"name": "c", "template": "tiny"}, catalog=[catalog])
    assert {problem.path for problem in refused.value.problems} == {"service a: actions.start.fields.command"}
    assert [word for word in ("web.port", "service b") if word in str(refused.value)] == ["web.port", "service b"]
    catalog = write_catalog(tmp_path, {"a": service(start="ask %config.web.port% %secret.web%")})
    prepared = prepare_create({"name": "c", "template": "tiny", "config": {"web": {"port": 1}}}, catalog=[catalog])
    assert asks_for_secrets(prepared.layout)


def test_passwords_are_made_only_for_a_config_that_asks_and_differ_by_name_and_key() -> None:
    assert uses_secrets({"a": [{"b": "x%secret.db%y"}]})
    assert not uses_secrets({"a": "%host.self%", "secret.": "100% secret.", "b": "%%secret.x%%"})
    assert derive("key", "a") == derive("key", "a")
    assert len({derive("key", "a"), derive("key", "b"), derive("other", "a")}) == 3
    assert derive("key", "a").isalnum()
