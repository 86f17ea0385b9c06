"""What cannot be meant is refused before any layout is searched, naming the thing and what there is instead."""

from __future__ import annotations

import subprocess
import sys

import pytest
from solver_catalogs import small_catalog, small_request

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.model.request import ClusterRequest
from coopr_core.solver import solve


def test_unknown_names_are_not_found_with_near_ones_in_the_hint() -> None:
    catalog = small_catalog({}, ["namenode", "datanode"], ["large", "small"])
    for more, near in (
        ({"services": ("namenoed",)}, "namenode"),
        ({"provider": "pp"}, "p"),
        ({"hardware_type": "larg"}, "large"),
        ({"image_type": "imm"}, "im"),
    ):
        with pytest.raises(NotFound) as error:
            solve(catalog, small_request(2, **more))
        assert near in error.value.hint
    with pytest.raises(NotFound, match="no template tt"):
        solve(catalog, ClusterRequest(name="c", template="tt"))


@pytest.mark.parametrize("size", [1, 5])
def test_a_size_out_of_bounds_is_refused_with_the_bounds(size: int) -> None:
    catalog = small_catalog({"size": {"min": 2, "max": 4}}, ["a"])
    with pytest.raises(InvalidInput) as error:
        solve(catalog, small_request(size))
    assert f"{size} node" in error.value.message
    assert "2 to 4 nodes" in error.value.hint


def test_without_a_size_the_cluster_is_as_small_as_the_template_allows() -> None:
    assert len(solve(small_catalog({"size": {"min": 3}}, ["a"]), small_request()).nodes) == 3
    assert len(solve(small_catalog({}, ["a"]), small_request()).nodes) == 1


def test_bounds_that_exclude_each_other_are_the_templates_fault() -> None:
    with pytest.raises(InvalidInput, match=r"size\.max = 2 is below"):
        solve(small_catalog({"size": {"min": 3, "max": 2}}, ["a"]), small_request(2))


def test_a_service_the_template_is_not_compatible_with_is_refused_before_it_is_looked_for() -> None:
    catalog = small_catalog({}, ["a"], compatibility={"services": ["a"]})
    with pytest.raises(InvalidInput, match="zz cannot be on a cluster of template t"):
        solve(catalog, small_request(1, services=("a", "zz")))


def test_missing_dependencies_are_all_listed_with_what_provides_them() -> None:
    catalog = small_catalog(
        {},
        [
            {"name": "a", "dependencies": {"runtime": {"requires": ["b", "c"]}, "install": {"requires": ["db"]}}},
            {"name": "mysql", "dependencies": {"provides": ["db"]}},
        ],
        defaults={"services": ["a"]},
    )
    with pytest.raises(InvalidInput) as error:
        solve(catalog, small_request(1))
    assert len(error.value.problems) == 3
    assert "db: mysql" in error.value.hint
    solve(small_catalog({}, ["mysql"]), small_request(1))


def test_a_provided_name_satisfies_a_requirement() -> None:
    services = [
        {"name": "a", "dependencies": {"install": {"requires": ["db"]}}},
        {"name": "mysql", "dependencies": {"provides": ["db"]}},
    ]
    assert solve(small_catalog({}, services), small_request(1)).nodes[0].services == ("a", "mysql")


@pytest.mark.parametrize("conflicts", ["b", "virtual"])
def test_conflicts_are_refused_by_name_and_by_provided_name(conflicts: str) -> None:
    services = [
        {"name": "a", "dependencies": {"conflicts": [conflicts]}},
        {"name": "b", "dependencies": {"provides": ["virtual"]}},
    ]
    with pytest.raises(InvalidInput, match="a conflicts with b"):
        solve(small_catalog({}, services), small_request(1))


def test_a_service_may_provide_a_name_it_conflicts_with() -> None:
    services = [{"name": "a", "dependencies": {"conflicts": ["database"], "provides": ["database"]}}]
    assert len(solve(small_catalog({}, services), small_request(1)).nodes) == 1


def test_hardware_that_is_incompatible_or_not_offered_is_refused_with_what_is_allowed() -> None:
    catalog = small_catalog({}, ["a"], ["h1", "h2"], compatibility={"hardwaretypes": ["h1"]})
    with pytest.raises(InvalidInput, match="not compatible") as error:
        solve(catalog, small_request(1, hardware_type="h2"))
    assert "allow: h1" in error.value.hint
    catalog.hardware_types["h1"] = catalog.hardware_types["h1"].model_copy(update={"providermap": {}})
    with pytest.raises(InvalidInput, match="does not offer it"):
        solve(catalog, small_request(1, hardware_type="h1"))
    with pytest.raises(InvalidInput, match="offers no hardware type"):
        solve(catalog, small_request(1))


def test_a_template_without_services_or_provider_asks_for_them() -> None:
    with pytest.raises(InvalidInput, match="no default services"):
        solve(small_catalog({}, ["a"], defaults={"services": []}), small_request(1))
    with pytest.raises(InvalidInput, match="no default provider"):
        solve(small_catalog({}, ["a"], defaults={"provider": ""}), small_request(1))


def test_asking_for_solve_imports_no_solver_library() -> None:
    code = "import sys, coopr_core.solver as s; s.solve; print([m for m in ('highspy', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
