"""Drawings of plans: one box for equal nodes, the critical path marked, three formats."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from planner_reference import layout, service

from coopr_core.errors import CooprError, InvalidInput
from coopr_core.planner import Plan, plan
from coopr_core.planner.drawing import draw, picture, render

SERVICES = (
    service("base", ("install", "configure")),
    service("db", ("install", "configure", "initialize", "start"), install=["base"]),
    service("app_2.web", ("install", "configure", "start"), install=["base"], runtime=["db"]),
)
HUNDRED = layout(SERVICES, ["base", "db"], *([["app_2.web", "base"]] * 99))


@pytest.fixture
def hundred() -> Plan:
    return plan("CLUSTER_CREATE", HUNDRED)


def test_a_hundred_nodes_of_two_kinds_are_two_boxes(hundred: Plan) -> None:
    drawn = picture(hundred)
    assert [box.title for box in drawn.boxes] == ["node 1000", "99 nodes: 1001-1099"]
    assert drawn.title == f"CLUSTER_CREATE: {len(hundred):,} tasks, 100 nodes, {len(hundred.stages)} stages"
    assert sum(len(box.cells) for box in drawn.boxes) == len(hundred.graph.steps)


def test_the_critical_path_is_one_unbroken_line_of_marked_arrows(hundred: Plan) -> None:
    drawn = picture(hundred)
    marked = {arrow.tail: arrow.head for arrow in drawn.arrows if arrow.critical}
    starts = set(marked) - set(marked.values())
    assert len(starts) == 1
    line = [starts.pop()]
    while line[-1] in marked:
        line.append(marked[line[-1]])
    critical = {cell.id for box in drawn.boxes for cell in box.cells if cell.critical}
    assert [name for name in line if name in critical] == [n for n in line if n.startswith("s")]
    assert len(critical) == len(hundred.critical_path())


def test_arrows_that_others_imply_are_left_out(hundred: Plan) -> None:
    cells = {(c.action, c.service): c.id for box in picture(hundred).boxes for c in box.cells}
    heads = [arrow.head for arrow in picture(hundred).arrows if arrow.tail == cells["BOOTSTRAP", ""]]
    assert cells["INSTALL", "db"] not in heads, "it follows INSTALL base, which follows BOOTSTRAP"


def test_an_svg_is_well_formed_and_names_every_step(hundred: Plan, tmp_path: Path) -> None:
    draw(hundred, tmp_path / "plan.svg")
    text = "".join(ET.parse(tmp_path / "plan.svg").getroot().itertext())
    assert "99 nodes: 1001-1099" in text
    assert "app_2.web" in text
    assert "critical path" in text


def test_the_dot_text_is_read_by_graphviz_itself(hundred: Plan) -> None:
    import pygraphviz

    graph = pygraphviz.AGraph(string=render(hundred, "dot"))
    assert len(graph.subgraphs()) == 2
    assert "s0" in graph


def test_mermaid_has_a_subgraph_for_each_box(hundred: Plan) -> None:
    text = render(hundred, "mmd")
    assert text.count("subgraph") == 2
    assert "app_2.web" in text
    assert "==>" in text


def test_durations_decide_what_is_critical(hundred: Plan) -> None:
    seconds = {(step.service, step.action): 1.0 for step in hundred.graph.steps}
    drawn = picture(hundred, {**seconds, ("base", "CONFIGURE"): 900.0})
    assert ("CONFIGURE", "base") in {(c.action, c.service) for box in drawn.boxes for c in box.cells if c.critical}


@pytest.mark.parametrize("format", ["svg", "dot", "mmd"])
def test_an_empty_plan_is_drawn_too(format: str) -> None:
    empty = plan("START_SERVICES", layout((service("quiet", ()),), ["quiet"]))
    assert "0 tasks, 0 nodes, 0 stages" in render(empty, format)


def test_an_unknown_ending_is_refused_with_those_that_work(hundred: Plan, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'bmp'") as refused:
        draw(hundred, tmp_path / "plan.bmp")
    assert ".svg, .dot, .mmd" in refused.value.hint
    with pytest.raises(InvalidInput, match="cannot write"):
        draw(hundred, tmp_path / "missing" / "plan.mmd")


def test_without_the_library_the_refusal_says_what_works_without_it(
    hundred: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(CooprError) as refused:
        render(hundred, "svg")
    assert ".mmd" in refused.value.hint
    assert "flowchart" in render(hundred, "mmd")


def test_planning_imports_neither_the_drawing_library_nor_prefect() -> None:
    code = (
        "import sys; from coopr_core.planner import Task; assert 'networkx' not in sys.modules; "
        "from coopr_core.planner import plan; "
        "assert not {'pygraphviz', 'prefect', 'sqlalchemy', 'asyncssh'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
