"""The solver beside the original: the same answer, or a numbered rule that says why not, and ours checked."""

from __future__ import annotations

from typing import Any

import pytest
from shared_reference import vectors
from solver_catalogs import Entities, public_catalog, rows, vector_catalog
from solver_reference import breaks

from coopr_core.errors import CooprError
from coopr_core.model.request import ClusterRequest
from coopr_core.solver import Unsatisfiable, solve

EXCUSED = {
    "D1": "services requested but placed nowhere",
    "D2": "a layout exists, the original finds none",
    "D3": "the original runs out of time",
    "D18": "a conflict with a provided name",
}


def _request(given: dict[str, Any], template: str, provider: str) -> ClusterRequest:
    return ClusterRequest.model_construct(
        name=given["name"],
        template=template,
        size=given["num_machines"],
        services=given["services"],
        provider=provider,
        hardware_type=given["hardwaretype"],
        image_type=given["imagetype"],
        dns_suffix=given.get("dns_suffix"),
        config=None,
        config_mode="merge",
        lease=None,
        optimize="preference",
    )


def _cases() -> list[tuple[str, dict[str, Any], Entities, ClusterRequest]]:
    cases = []
    for name in ("layout_random", "layout_edge"):
        for case in vectors(name)["cases"]:
            given = case["input"]
            cases.append((case["id"], case, vector_catalog(given), _request(given["request"], "t", given["provider"])))
    return cases


def _expected(case: dict[str, Any]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(node["hardwaretype"], node["imagetype"], tuple(node["services"])) for node in case["expected"]["nodes"]]


def _excuse(case: dict[str, Any], error: CooprError | None) -> str:
    notes, status = case.get("annotation", {}), case["expected"]["status"]
    if status == "ok" and notes.get("requested_but_placed_nowhere"):
        return "D1"
    if status == "ok" and error is not None and "conflicts with" in str(error):
        return "D18"
    if status == "null" and error is None and notes.get("exhaustively_feasible"):
        return "D2"
    if status == "timeout":
        return "D3"
    return ""


def test_every_public_template_is_laid_out_as_by_the_original_at_every_size() -> None:
    catalog = public_catalog()
    for case in vectors("layout_catalog")["cases"]:
        entities = Entities(**vars(catalog))
        if not case["default_types"]:
            template = catalog.templates[case["template"]]
            free = template.defaults.model_copy(update={"hardwaretype": "", "imagetype": ""})
            entities.templates = {template.name: template.model_copy(update={"defaults": free})}
        request = _request(case["request"], case["template"], case["provider"])
        if case["expected"]["status"] == "error":
            with pytest.raises(CooprError):
                solve(entities, request)
            continue
        layout = solve(entities, request)
        assert rows(layout) == _expected(case), case["id"]
        nodes = case["expected"]["nodes"]
        assert [(n.number, n.flavor, n.image) for n in layout.nodes] == [
            (n["num"], n["flavor"], n["image"]) for n in nodes
        ], case["id"]
        assert layout.nodes[0].host_name == case["expected"]["first_hostname"]
        assert layout.nodes[0].ssh_user == case["expected"]["sshuser"]


def test_random_and_edge_cases_are_laid_out_as_by_the_original_or_a_rule_excuses_the_difference() -> None:
    used = set()
    for name, case, catalog, request in _cases():
        error, nodes = None, None
        try:
            layout = solve(catalog, request)
            nodes = rows(layout)
        except CooprError as caught:
            error = caught
        status = case["expected"]["status"]
        if nodes is not None:
            template = case["input"]["template"]
            services = request.services or template["defaults"]["services"]
            assert breaks(nodes, services, template["constraints"]) == [], name
        if status == "ok" and nodes == _expected(case):
            assert layout.nodes[0].host_name == case["expected"]["first_hostname"]
            continue
        if status == "null" and isinstance(error, Unsatisfiable):
            assert case["annotation"].get("exhaustively_feasible") is not True, name
            continue
        if status == "error" and error is not None and not isinstance(error, Unsatisfiable):
            continue
        excuse = _excuse(case, error)
        assert excuse in EXCUSED, f"{name}: {status} {case['expected'].get('message')}, ours {error or nodes}"
        used.add(excuse)
        if excuse == "D3":
            assert case["annotation"]["exhaustively_feasible"] == (nodes is not None)
    assert used == set(EXCUSED), "an excuse nobody needs is no rule"


def test_without_rule_d1_every_layout_of_the_original_is_ours() -> None:
    compared = 0
    for name, case, _, request in _cases():
        if case["expected"]["status"] != "ok" or name == "conflict-provides":
            continue
        template = case["input"]["template"]
        constraints = {**template["constraints"], "services": dict(template["constraints"].get("services", {}))}
        grouped = [n for groups in constraints["layout"].values() for group in groups for n in group]
        for service in {*constraints["services"], *grouped}:
            own = dict(constraints["services"].get(service, {}))
            own["quantities"] = {"min": 0, **own.get("quantities", {})}
            constraints["services"][service] = own
        relaxed = vector_catalog({**case["input"], "template": {**template, "constraints": constraints}})
        assert rows(solve(relaxed, request)) == _expected(case), name
        compared += 1
    assert compared > 50
