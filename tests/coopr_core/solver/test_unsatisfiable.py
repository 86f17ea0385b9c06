"""A refusal names a minimal clash as the user wrote it, and the ways out it offers work."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from examples import examples
from growth import growth
from hypothesis import HealthCheck, assume, given
from solver_catalogs import public_catalog, small_catalog, small_request
from test_layout_preference import HARDWARE, IMAGES, NAMES, constraints_of

from coopr_core.model.request import ClusterRequest
from coopr_core.solver import Unsatisfiable, solve
from coopr_core.solver.unsatisfiable import Clash

MOST = 14
"""No small example needs more nodes."""


def refused(constraints: dict[str, Any], names: Sequence[str], size: int, **more: Any) -> Unsatisfiable | None:
    try:
        solve(small_catalog(constraints, names, HARDWARE, IMAGES, **more), small_request(size))
    except Unsatisfiable as refusal:
        return refusal
    return None


def write(constraints: dict[str, Any], clash: Clash, value: Any = None) -> dict[str, Any]:
    """The constraints with ``value`` in the place of a clashing one; None takes it away."""
    edited = copy.deepcopy(constraints)
    services = edited.setdefault("services", {})
    parts = clash.path.split(".")
    if parts[0] == "layout":
        key, position = parts[1].rstrip("]").split("[")
        edited["layout"][key][int(position)] = value or []
    elif parts[0] == "services":
        own = services.setdefault(parts[1], {})
        if parts[2] == "quantities":
            own.setdefault("quantities", {})[parts[3]] = value if value is not None or parts[3] != "min" else 0
            if own["quantities"][parts[3]] is None:
                del own["quantities"][parts[3]]
        else:
            own[parts[2]] = value or []
    else:
        assert clash.path == "size"
    return edited


def only(constraints: dict[str, Any], names: Sequence[str], clash: Sequence[Clash]) -> dict[str, Any]:
    """The constraints with nothing in force but those of ``clash``."""
    kept = {c.path for c in clash}
    asked = {c.value for c in clash if c.path == "defaults.services"}
    bare: dict[str, Any] = {"services": {}, "layout": {}}
    for name in names:
        own = constraints.get("services", {}).get(name)
        least = 1 if name in asked else 0
        if own is not None or name in asked:
            quantities = dict((own or {}).get("quantities", {}))
            bare["services"][name] = {
                "quantities": {
                    "min": quantities["min"] if f"services.{name}.quantities.min" in kept else least,
                    **({"max": quantities["max"]} if f"services.{name}.quantities.max" in kept else {}),
                },
                **{
                    key: (own or {}).get(key, []) if f"services.{name}.{key}" in kept else []
                    for key in ("hardwaretypes", "imagetypes")
                },
            }
        elif any(name in group for groups in constraints["layout"].values() for group in groups):
            bare["services"][name] = {"quantities": {"min": 0}}
    for key, groups in constraints["layout"].items():
        bare["layout"][key] = [g if f"layout.{key}[{i}]" in kept else [] for i, g in enumerate(groups)]
    return bare


def solvable(constraints: dict[str, Any], names: Sequence[str], size: int | None) -> bool:
    sizes = range(1, MOST) if size is None else [size]
    return any(refused(constraints, names, nodes) is None for nodes in sizes)


@examples(250, suppress_health_check=[HealthCheck.filter_too_much])
@given(constraints_of())
def test_the_clash_is_a_clash_and_minimal(constraints: dict[str, Any]) -> None:
    refusal = refused(constraints, NAMES, 3)
    assume(refusal is not None)
    assert refusal is not None
    assert refusal.clash
    sized = any(c.path == "size" for c in refusal.clash)
    bare = only(constraints, NAMES, refusal.clash)
    assert not solvable(bare, NAMES, 3 if sized else None)
    for constraint in refusal.clash:
        rest = [other for other in refusal.clash if other is not constraint]
        still_sized = any(c.path == "size" for c in rest)
        assert solvable(only(constraints, NAMES, rest), NAMES, 3 if still_sized else None), str(constraint)


@examples(250, suppress_health_check=[HealthCheck.filter_too_much])
@given(constraints_of())
def test_every_way_out_works(constraints: dict[str, Any]) -> None:
    refusal = refused(constraints, NAMES, 3)
    assume(refusal is not None)
    assert refusal is not None
    for relaxation in refusal.relaxations:
        edited = write(constraints, relaxation.constraint, relaxation.value)
        assert refused(edited, NAMES, 3) is None, str(relaxation)
    below = [size for size in (1, 2) if refused(constraints, NAMES, size) is None]
    above = [size for size in range(4, MOST) if refused(constraints, NAMES, size) is None]
    assert refusal.sizes == (*below[-1:], *above[:1])


def test_every_constraint_of_the_only_clash_is_named_as_it_was_written() -> None:
    constraints = {
        "services": {"a": {"quantities": {"min": 2}}, "b": {"quantities": {"max": 1}}},
        "layout": {"mustcoexist": [["a", "b"]]},
    }
    refusal = refused(constraints, ["a", "b", "c"], 3)
    assert refusal is not None
    assert {str(constraint) for constraint in refusal.clash} == {
        "template t: services.a.quantities.min = 2",
        "template t: services.b.quantities.max = 1",
        "template t: layout.mustcoexist[0] = [a, b]",
    }
    assert {str(relaxation) for relaxation in refusal.relaxations} == {
        "template t: services.a.quantities.min = 1 instead of 2",
        "template t: services.b.quantities.max = 2 instead of 1",
        "template t: layout.mustcoexist[0] = [a, b] left out",
    }
    assert refusal.sizes == ()
    assert refusal.exit_code == 6


def test_too_few_nodes_for_a_public_template_names_the_minimum_and_the_size_that_works() -> None:
    catalog = public_catalog()
    template = catalog.templates["hadoop-distributed"]
    loose = template.constraints.model_copy(update={"size": template.constraints.size.model_copy(update={"min": 1})})
    catalog.templates["hadoop-distributed"] = template.model_copy(update={"constraints": loose})
    with pytest.raises(Unsatisfiable) as refusal:
        solve(catalog, ClusterRequest(name="c", template="hadoop-distributed", size=2))
    texts = [str(constraint) for constraint in refusal.value.clash]
    assert "template hadoop-distributed: services.hadoop-hdfs-datanode.quantities.min = 2" in texts
    assert "request: size = 2" in texts
    assert refusal.value.sizes == (3,)


def test_when_no_service_may_fill_the_nodes_left_the_refusal_says_so() -> None:
    constraints = {"services": {name: {"quantities": {"max": 1}} for name in ("a", "b")}}
    refusal = refused(constraints, ["a", "b"], 3)
    assert refusal is not None
    assert "every node must have a service" in refusal.reason
    assert refusal.sizes == (2,)


def test_a_hardware_type_nothing_fits_on_is_blamed_and_another_offered() -> None:
    constraints = {"services": {"a": {"hardwaretypes": ["small"]}}}
    refusal = refused(constraints, ["a", "b"], 2, defaults={"hardwaretype": "large"})
    assert refusal is not None
    assert "template t: defaults.hardwaretype = small instead of large" in map(str, refusal.relaxations)


def test_a_service_that_must_be_somewhere_only_because_it_was_asked_for_may_be_allowed_to_be_nowhere() -> None:
    refusal = refused({"layout": {"cantcoexist": [["a", "b"]]}}, ["a", "b"], 1)
    assert refusal is not None
    assert "template t: defaults.services = a (so it must be on at least one node)" in map(str, refusal.clash)
    assert "template t: services.a.quantities.min = 0" in map(str, refusal.relaxations)


def test_the_refusal_is_readable_and_complete_as_json() -> None:
    constraints = {"services": {"a": {"quantities": {"min": 3, "max": 1}}}}
    refusal = refused(constraints, ["a", "b"], 4)
    assert refusal is not None
    written = json.loads(json.dumps(refusal.to_json()))
    assert written["error"] == "unsatisfiable"
    assert [constraint["path"] for constraint in written["clash"]] == [
        "services.a.quantities.min",
        "services.a.quantities.max",
    ]
    assert written["relaxations"][0]["value"] == 1
    assert "Single changes that work:" in str(refusal)


def test_refusing_costs_neither_exponentially_more_with_the_services_nor_more_with_the_nodes() -> None:
    def refusing(services: int, nodes: int) -> Callable[[], object]:
        names = [f"service{number:02}" for number in range(services)]
        own = {name: {"quantities": {"min": 3, "max": 20 + position}} for position, name in enumerate(names)}
        catalog = small_catalog({"services": own}, names, ["h1", "h2", "h3"], ["i1", "i2", "i3"])

        def refuse() -> None:
            with pytest.raises(Unsatisfiable) as refusal:
                solve(catalog, small_request(nodes))
            assert len(refusal.value.clash) == services + 1
            assert refusal.value.sizes == (sum(range(20, 20 + services)),)

        return refuse

    assert growth(lambda services: refusing(services, 10_000), 10, 30) < 60, "a million when every set were tried"
    assert growth(lambda nodes: refusing(30, nodes), 2_000, 100_000) < 4
