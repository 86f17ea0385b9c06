"""Config keys that nobody reads are found, with those that were perhaps meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from growth import growth
from shared_reference import reference

from coopr_core import Catalog
from coopr_core.catalog.checks.config_keys import known_keys, unread_keys
from coopr_core.catalog.entities import ClusterTemplate, Service
from coopr_core.errors import InvalidInput


def made(
    *, template: Any = (), reads: tuple[str, ...] = ("web.port", "web.tls"), **fields: Any
) -> tuple[ClusterTemplate, list[Service]]:
    defaults = {"config": {"web": {"size": 1, "extra": {}}, "url": "x:%config.base.url%"}}
    action = {"actions": {"start": {"fields": fields}}}
    return (
        ClusterTemplate.model_validate(
            {"name": "t", "defaults": defaults, "config": template, "links": [{"url": "http://x:%config.ui.port%"}]}
        ),
        [Service.model_validate({"name": "s", "config": reads, "provisioner": action})],
    )


def unread(config: dict[str, Any], present: dict[str, Any] | None = None, **more: Any) -> list[str]:
    return [str(key.problem) for key in unread_keys(config, *made(**more), present)]


@pytest.mark.parametrize(
    "config",
    [
        {"web": {"port": 1, "tls": {"key": "below what is read"}, "size": 2, "extra": {"any": {"thing": 1}}}},
        {"web": {}},
        {"web.port": 1},
        {"base": {"url": "y"}, "ui": {"port": 1}, "url": None},
        {},
    ],
)
def test_what_somebody_reads_is_known(config: dict[str, Any]) -> None:
    assert unread(config) == []


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"web": {"prot": 1}}, 'config.web.prot: no service of template t reads it: did you mean "web.port"'),
        ({"Web": {"Port": 1}}, 'config.Web.Port: no service of template t reads it: did you mean "web.port"?'),
        ({"port": 1}, 'config.port: no service of template t reads it: did you mean "ui.port" or "web.port"?'),
        ({"x": {"y": [1]}}, "config.x.y: no service of template t reads it: `coopr catalog show t` shows the keys"),
        ({"web": 5}, 'config.web: is a map, of "web.size" and "web.extra" and "web.port" and "1 more"'),
        ({"web": None}, "config.web: is a map"),
    ],
)
def test_what_nobody_reads_is_named_with_what_may_be_meant(config: dict[str, Any], problem: str) -> None:
    (found,) = unread(config)
    assert found.startswith(problem.replace('"1 more"', "1 more"))


def test_every_key_that_nobody_reads_is_named() -> None:
    assert len(unread({"a": 1, "b": {"c": 2, "d": 3}, "web": {"port": 1}})) == 3


def test_a_file_full_of_unknown_keys_costs_in_proportion_to_it() -> None:
    template, services = made()

    def looking(times: int) -> Callable[[], object]:
        return lambda: unread_keys({f"web.prot{number}": 1 for number in range(times)}, template, services)

    assert growth(looking, 2000, 20000) < 30
    found = looking(2000)()
    assert isinstance(found, list)
    assert [bool(key.meant) for key in (found[0], found[-1])] == [True, False]


def test_a_template_names_more_keys_or_takes_any() -> None:
    config = {"more": {"port": 1}, "other": 2}
    assert len(unread(config)) == 2
    assert len(unread(config, template=["more"])) == 1
    assert unread(config, template="any") == []


def test_a_service_that_does_not_say_what_it_reads_may_read_everything() -> None:
    assert unread({"x": 1}, reads=()) == []


def test_macros_of_actions_read_keys_and_recorded_keys_stay_known() -> None:
    assert unread({"more": {"port": 1}}, args=["%config.more.port%"]) == []
    assert unread({"old": {"slip": 2}}, present={"old": {"slip": 1}}) == []


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"web": {}}, 'config: must be "any" or a list of keys, not a map: values stand below defaults.config'),
        ("all", 'config: must be "any" or a list of keys, not the text "all": write [all]'),
    ],
)
def test_what_a_template_takes_is_any_or_a_list(config: Any, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Catalog.from_data({"clustertemplates": [{"name": "t", "config": config}]})
    assert says in str(refused.value)


def test_what_templates_take_is_inherited() -> None:
    def takes(*configs: Any) -> Any:
        names = [f"t{number}" for number in range(len(configs))]
        templates = [
            {"name": name, "config": config, **({"parent": parent} if parent else {})}
            for name, parent, config in zip(names, ["", *names], configs, strict=False)
        ]
        return Catalog.from_data({"clustertemplates": templates}).template(names[-1]).config

    assert takes(["a"], ["b", "a"]) == ("a", "b")
    assert takes("any", ["b"]) == "any"
    assert takes(["a"], []) == ("a",)


def test_the_builtin_templates_say_what_they_take_and_the_originals_take_any() -> None:
    catalog = Catalog.load()
    for template in catalog.templates.values():
        known = known_keys(template, [catalog.service(name) for name in template.defaults.services])
        assert known is not None
        assert "run_as" in known
    original = Catalog.load([reference("coopr-templates")], builtin=False)
    for template in original.templates.values():
        services = [original.services[name] for name in template.defaults.services if name in original.services]
        assert known_keys(template, services) is None or not services
