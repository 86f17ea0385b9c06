"""What looks wrong in a catalog is found before a cluster is made from it, and placed in a file."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from growth import growth
from hypothesis import given
from hypothesis import strategies as st
from shared_reference import reference

from coopr_core import Catalog, solve
from coopr_core.catalog.checks.solvable import unsolvable
from coopr_core.errors import InvalidInput


def service(name: str, **dependencies: Any) -> dict[str, Any]:
    return {"name": name, "dependencies": dependencies}


def warnings(**data: Any) -> list[str]:
    problems = Catalog.from_data(data).problems
    assert all(problem.severity == "warning" for problem in problems)
    return [str(problem) for problem in problems]


def of_template(template: dict[str, Any], **more: Any) -> list[str]:
    """The warnings about a template, in a catalog with services a, b, c and types h, i of provider p."""
    data: dict[str, Any] = {
        "services": [service("a"), service("b"), service("c")],
        "hardwaretypes": [{"name": "h", "providermap": {"p": {"flavor": "f"}}}],
        "imagetypes": [{"name": "i", "providermap": {"p": {"image": "i"}}}],
        "providers": [{"name": "p", "providertype": "local"}],
        "clustertemplates": [{"name": "t", **template}],
    }
    for folder, entities in more.items():
        data[folder] = [*data.get(folder, []), *entities]
    return [warning.removeprefix("clustertemplates/t: ") for warning in warnings(**data)]


PUBLIC_FLAWS = [
    ("clustertemplates/cdap-singlenode.json", 177, "compatibility.services[2]", "hadoop-hdfs-secondarynamenode"),
    ("clustertemplates/coopr-standalone-docker.json", 6, "defaults.services[0]", 'no service "coopr-standalone"'),
    ("clustertemplates/coopr-standalone-docker.json", 25, "compatibility.services[0]", 'no service "coopr-standalone"'),
    ("clustertemplates/coopr-standalone-docker.json", 49, "links[0].url", "no node has the service coopr"),
    ("clustertemplates/docker-base.json", 20, "compatibility.imagetypes[2]", 'no image type "ubuntu16"'),
    ("clustertemplates/docker-base.json", 49, "defaults.imagetype", "centos6 is not among compatibility.imagetypes"),
    (
        "clustertemplates/hadoop-distributed.json",
        40,
        "defaults.config.hadoop.mapred_site.mapreduce.jobhistory.address",
        "hadoop-mapreduce-historyserver is not among them",
    ),
    (
        "clustertemplates/hadoop-distributed.json",
        70,
        "defaults.config.hive.hive_site.javax.jdo.option.ConnectionURL",
        "mysql-server is not among them",
    ),
    (
        "clustertemplates/hadoop-distributed.json",
        74,
        "defaults.config.hive.hive_site.hive.metastore.uris",
        "hive-metastore is not among them",
    ),
    ("clustertemplates/hadoop-distributed.json", 225, "links[2].url", "hadoop-mapreduce-historyserver"),
    (
        "clustertemplates/hadoop-singlenode.json",
        53,
        "defaults.config.hadoop.mapred_site.mapreduce.jobhistory.address",
        "hadoop-mapreduce-historyserver is not among them",
    ),
    ("clustertemplates/hadoop-singlenode.json", 174, "links[2].url", "hadoop-mapreduce-historyserver"),
    ("providers/openstack.json", 7, "provisioner.api_password", "a secret does not belong"),
    ("providers/rackspace.json", 7, "provisioner.api_password", "a secret does not belong"),
    ("services/cdap-sandbox-docker.json", 8, "dependencies.conflicts[1]", '"cdap-standalone-docker"'),
    ("services/coopr-standalone-docker.json", 7, "dependencies.conflicts[0]", '"coopr"'),
    ("services/hadoop-hdfs-datanode.json", 16, "dependencies.runtime.uses[0]", '"hadoop-hdfs-secondarynamenode"'),
]


def test_the_public_templates_load_and_their_flaws_are_found_with_file_line_and_path() -> None:
    root = reference("coopr-templates")
    catalog = Catalog.load([root], builtin=False)
    assert len(catalog.templates) == 15
    assert len(catalog.services) == 53
    found = [(str(Path(p.file).relative_to(root)), p.line, p.path, p.message) for p in catalog.problems]
    assert [place[:3] for place in found] == [flaw[:3] for flaw in PUBLIC_FLAWS]
    for (*_, message), (*_, expected) in zip(found, PUBLIC_FLAWS, strict=True):
        assert expected in message


def test_the_public_templates_without_a_layout_are_found_by_solving() -> None:
    root = reference("coopr-templates")
    problems = unsolvable(Catalog.load([root], builtin=False), solve)
    assert [(Path(p.file).name, p.path, p.severity) for p in problems] == [
        ("coopr-standalone-docker.json", "constraints.size", "warning"),
        ("docker-base.json", "constraints.size", "warning"),
    ]


def test_a_least_size_that_is_too_small_is_told_with_the_sizes_that_are_not() -> None:
    catalog = Catalog.from_data(
        {
            "services": [service("a"), service("b")],
            "hardwaretypes": [{"name": "h", "providermap": {"p": {"flavor": "f"}}}],
            "imagetypes": [{"name": "i", "providermap": {"p": {"image": "i"}}}],
            "providers": [{"name": "p", "providertype": "local"}],
            "clustertemplates": [
                {
                    "name": "t",
                    "defaults": {"services": ["a", "b"], "provider": "p"},
                    "constraints": {"layout": {"cantcoexist": [["a", "b"]]}},
                }
            ],
        }
    )
    (problem,) = unsolvable(catalog, solve)
    assert "its least size, 1, has no layout with the defaults; sizes that have one: 2 or more" in problem.message


@pytest.mark.parametrize(
    ("dependencies", "path", "message"),
    [
        (
            {"install": {"requires": ["bb"]}},
            "install.requires[0]",
            'no service is or provides "bb": the service can be',
        ),
        ({"runtime": {"uses": ["x", "b-1"]}}, "runtime.uses[0]", 'no service is or provides "x"'),
        ({"conflicts": ["x"]}, "conflicts[0]", 'no service is or provides "x"'),
        ({"conflicts": ["a"]}, "conflicts[0]", "the service conflicts with itself"),
    ],
)
def test_dependencies_on_nobody_are_found(dependencies: dict[str, Any], path: str, message: str) -> None:
    services = [service("a", **dependencies), service("b-2", provides=["b-1"])]
    (warning,) = warnings(services=services)
    assert warning.startswith(f"services/a: dependencies.{path}: {message}")


def test_an_action_that_is_never_run_is_found() -> None:
    (warning,) = warnings(services=[{"name": "a", "provisioner": {"actions": {"instal": {}}}}])
    assert warning == 'services/a: provisioner.actions.instal: "instal" is never run: did you mean "install"?'


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ({"defaults": {"services": ["x"]}}, 'defaults.services[0]: no service "x"'),
        ({"defaults": {"provider": "x"}}, 'defaults.provider: no provider "x"'),
        ({"defaults": {"hardwaretype": "x"}}, 'defaults.hardwaretype: no hardware type "x"'),
        ({"defaults": {"imagetype": "x"}}, 'defaults.imagetype: no image type "x"'),
        ({"compatibility": {"hardwaretypes": ["h", "x"]}}, 'compatibility.hardwaretypes[1]: no hardware type "x"'),
        ({"constraints": {"services": {"x": {}}}}, 'constraints.services.x: no service "x"'),
        (
            {"constraints": {"services": {"a": {"imagetypes": ["x"]}}}},
            'constraints.services.a.imagetypes[0]: no image type "x"',
        ),
        (
            {"constraints": {"layout": {"mustcoexist": [["a", "b"], ["a", "x"]]}}},
            'constraints.layout.mustcoexist[1][1]: no service "x"',
        ),
        (
            {"compatibility": {"services": ["a"]}, "constraints": {"services": {"b": {}}}},
            "constraints.services.b: constrains b, which cannot be chosen",
        ),
        (
            {"compatibility": {"services": ["a"]}, "constraints": {"layout": {"cantcoexist": [["a", "b"]]}}},
            "constraints.layout.cantcoexist[0][1]: names b, which cannot be chosen",
        ),
        (
            {"compatibility": {"services": ["a"]}, "defaults": {"services": ["a", "b"]}},
            "defaults.services[1]: the default service b is not among compatibility.services",
        ),
        (
            {"constraints": {"layout": {"mustcoexist": [["a", "b"], ["b", "c"]], "cantcoexist": [["c", "a"]]}}},
            "constraints.layout.cantcoexist[0]: a and c must share no node, yet mustcoexist says",
        ),
        (
            {"constraints": {"layout": {"cantcoexist": [["a"]]}}},
            "constraints.layout.cantcoexist[0]: a can be on no node",
        ),
        ({"constraints": {"size": {"min": 3, "max": 2}}}, "constraints.size: no size can satisfy the template"),
        (
            {"constraints": {"services": {"a": {"quantities": {"min": 3, "max": 2}}}}},
            "constraints.services.a.quantities: a can be on no cluster",
        ),
        (
            {"constraints": {"size": {"max": 2}, "services": {"a": {"quantities": {"min": 3}}}}},
            "constraints.services.a.quantities.min: a can be on no cluster",
        ),
        (
            {"administration": {"leaseduration": {"initial": "2d", "max": "1d"}}},
            "administration.leaseduration.initial: is longer than max, 1d",
        ),
        (
            {"defaults": {"config": {"k": ["%host.service.x%"]}}},
            "defaults.config.k[0]: macro %host.service.x% cannot be resolved: no node has the service x",
        ),
        ({"defaults": {"config": {"k": "%oops%"}}}, "defaults.config.k: macro %oops% cannot be read"),
        (
            {"defaults": {"services": ["a"], "config": {"k": "%host.service.b%"}}},
            "defaults.config.k: macro %host.service.b% cannot be resolved with the default services",
        ),
        ({"links": [{"url": "http://%host.self%"}]}, "links[0].url: macro %host.self% cannot be resolved: there is no"),
    ],
)
def test_what_contradicts_itself_in_a_template_is_found(template: dict[str, Any], expected: str) -> None:
    (warning,) = of_template(template)
    assert warning.startswith(expected)


def acting(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "provisioner": {"actions": {"start": {"fields": fields}}}}


def test_macros_in_actions_that_cannot_be_resolved_are_found() -> None:
    services = [acting("x", command="date +%Y-%m-%d", args=["%host.service.aa%", "%hots.self%"])]
    place = "services/x: provisioner.actions.start.fields.args"
    assert of_template({}, services=services) == [
        f'{place}[0]: macro %host.service.aa% cannot be resolved: no node has the service aa: did you mean "a"?',
        f'{place}[1]: macro %hots.self% cannot be read: "hots.self" is no macro',
    ]


def test_macros_in_actions_of_default_services_that_need_others_or_config_are_found() -> None:
    services = [acting("x", args=["%host.service.a%", "%config.port%", "%config.web.port%"])]
    template = {"defaults": {"services": ["x"], "config": {"web": {"port": 1}}}}
    assert of_template(template, services=services) == [
        "defaults.services[0]: start of x: macro %config.port% cannot be resolved: the config has no value port",
        "defaults.services[0]: start of x: macro %host.service.a% cannot be resolved: no node has the service a",
    ]


def test_default_services_that_cannot_be_together_are_found() -> None:
    services = [service("d", install={"requires": ["a"]}), service("e", conflicts=["f"]), service("f", provides=["x"])]
    template = {"defaults": {"services": ["d", "e", "f"]}}
    assert of_template(template, services=services) == [
        "defaults.services[0]: the default service d requires a (install), which no default service is or provides",
        "defaults.services[1]: the default service e conflicts with the default service f",
    ]


def test_types_the_default_provider_does_not_offer_are_found() -> None:
    other = [{"name": "other", "providermap": {"q": {"flavor": "f"}}}, {"name": "none"}]
    providers = [{"name": "q", "providertype": "local"}, {"name": "r", "providertype": "local"}]
    template = {
        "defaults": {"provider": "p", "hardwaretype": "other"},
        "constraints": {"services": {"a": {"hardwaretypes": ["other"]}}},
    }
    found = of_template(template, hardwaretypes=other, providers=providers)
    assert found == [
        "constraints.services.a.hardwaretypes: the default provider p offers no hardware type a may be on",
        "defaults.hardwaretype: the default hardware type other is not offered by the default provider p",
        "hardwaretypes/none: no provider offers it: it has no providermap",
    ]
    found = of_template({"defaults": {"provider": "r"}}, providers=providers)
    assert [warning.partition(": ")[2] for warning in found] == [
        "the default provider r offers no hardware type the template is compatible with",
        "the default provider r offers no image type the template is compatible with",
    ]


def test_offers_of_unknown_providers_and_without_a_flavor_are_found() -> None:
    hardware = [{"name": "h", "providermap": {"locl": {"flavor": ""}}}]
    assert warnings(hardwaretypes=hardware, providers=[{"name": "local", "providertype": "local"}]) == [
        'hardwaretypes/h: providermap.locl: no provider "locl": did you mean "local"?',
        "hardwaretypes/h: providermap.locl: the offer of locl has no flavor",
    ]


def test_secrets_in_a_providers_file_are_found_and_not_repeated() -> None:
    settings = {"api_password": "hunter2", "api_key_resource": "my-key", "region": "x", "token": ""}
    (warning,) = warnings(providers=[{"name": "p", "providertype": "aws", "provisioner": settings}])
    assert warning.startswith("providers/p: provisioner.api_password: a secret does not belong")
    assert "hunter2" not in warning


def test_what_is_inherited_is_placed_where_it_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "parent.yaml").write_text("name: parent\ndefaults:\n  config:\n    k:\n      l: '%host.service.a%'\n")
    (folder / "child.yaml").write_text("name: child\nparent: parent\ncompatibility: {services: [b]}\n")
    (tmp_path / "services").mkdir()
    for name in "ab":
        (tmp_path / "services" / f"{name}.yaml").write_text(f"name: {name}\n")
    problems = [str(problem) for problem in Catalog.load(tmp_path, builtin=False).problems]
    assert problems == [
        f"{folder}/parent.yaml:5: defaults.config.k.l: child: macro %host.service.a% cannot be resolved: "
        "no node has the service a",
        f"{folder}/parent.yaml:5: defaults.config.k.l: macro %host.service.a% cannot be resolved with the default "
        "services: a is not among them",
    ]


@pytest.mark.parametrize(
    ("services", "cycle"),
    [
        ([service("a", runtime={"uses": ["a"]})], "runtime dependencies go round: a -> a"),
        (
            [
                service("c", install={"requires": ["a"]}),
                service("a", install={"uses": ["b"]}),
                service("b", install={"requires": ["c"]}),
            ],
            "install dependencies go round: a -> b -> c -> a",
        ),
        (
            [service("a", runtime={"requires": ["p"]}), service("b", provides=["p"], runtime={"requires": ["a"]})],
            "runtime dependencies go round: a -> b (which provides p) -> a",
        ),
        ([service("a", provides=["p"], install={"requires": ["p"]})], "a -> a (which provides p)"),
    ],
)
def test_dependency_cycles_are_errors_that_name_the_cycle(services: list[dict[str, Any]], cycle: str) -> None:
    with pytest.raises(InvalidInput) as error:
        Catalog.from_data({"services": services})
    (problem,) = error.value.problems
    assert cycle in problem.message
    assert problem.path.startswith("dependencies.")
    assert problem.severity == "error"


def test_install_and_runtime_dependencies_together_make_no_cycle() -> None:
    Catalog.from_data({"services": [service("a", install={"uses": ["b"]}), service("b", runtime={"uses": ["a"]})]})


def test_services_that_conflict_are_never_together_and_so_in_no_cycle() -> None:
    one = service("a", runtime={"requires": ["p"]})
    two = service("b", provides=["p"], runtime={"requires": ["a"]})
    Catalog.from_data({"services": [{**one, "dependencies": {**one["dependencies"], "conflicts": ["p"]}}, two]})


edges = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=14)


@given(edges)
def test_a_catalog_is_refused_exactly_when_its_dependencies_have_a_cycle(pairs: list[tuple[int, int]]) -> None:
    needs = {n: {other for one, other in pairs if one == n} for n in range(8)}
    services = [service(f"s{n}", runtime={"requires": [f"s{other}" for other in sorted(needs[n])]}) for n in needs]
    left = dict(needs)
    while free := [n for n, others in left.items() if not others & left.keys()]:
        for n in free:
            del left[n]
    if not left:
        Catalog.from_data({"services": services})
        return
    with pytest.raises(InvalidInput) as error:
        Catalog.from_data({"services": services})
    for problem in error.value.problems:
        around = [int(step[1:]) for step in problem.message.partition(": ")[2].split(" -> ")]
        assert around[0] == around[-1]
        assert all(other in needs[one] for one, other in pairwise(around))


def test_checking_costs_in_proportion_to_the_services() -> None:
    def checking(count: int) -> Callable[[], object]:
        needs = [{"requires": [f"s{n + 1:04}"]} for n in range(count - 1)] + [{}]
        chain = [service(f"s{n:04}", runtime=runtime) for n, runtime in enumerate(needs)]
        assert Catalog.from_data({"services": chain}).problems == ()
        return lambda: Catalog.from_data({"services": chain})

    assert growth(checking, 250, 4000) < 64, "256 when every service looked at every other"


def test_what_many_templates_inherit_from_one_is_told_once_with_how_many_they_are() -> None:
    base = {"name": "base", "defaults": {"config": {"x": "%host.service.gone%"}}}
    partial = {"name": "p", "defaults": {"config": {"y": "%host.service.gone%"}}}
    children = [{"name": f"c{n:02}", "parent": "base", "includes": ["p"]} for n in range(30)]
    assert warnings(clustertemplates=[base, *children], partialtemplates=[partial]) == [
        "clustertemplates/base: defaults.config.x: macro %host.service.gone% cannot be resolved: no node has the "
        "service gone",
        "partialtemplates/p: defaults.config.y: c00, c01, c02, c03 and 26 more: macro %host.service.gone% cannot be "
        "resolved: no node has the service gone",
    ]
