"""Host names, cluster names and DNS suffixes follow section 7 of the original's semantics."""

from __future__ import annotations

import re
from typing import Any

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_reference import SHARED, vectors

from coopr_core.model.layout import ClusterLayout, Node
from coopr_core.model.names import (
    cluster_name_problem,
    dns_form,
    dns_name,
    dns_suffix_problem,
    host_name,
    name_nodes,
    new_name_problem,
)

_PRESENT = (SHARED / "reference" / "vectors" / "misc.json").exists()
_CASES = [case for case in vectors("misc")["cases"] if case["kind"] == "hostname"] if _PRESENT else []


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["id"])
def test_host_names_are_those_of_the_original(case: dict[str, Any]) -> None:
    given = case["input"]
    name = host_name(given["name"], given["cluster_id"], given["nodenum"], given["dns_suffix"])
    assert name == case["expected"]["hostname"]


def test_a_long_cluster_name_is_cut_so_that_the_first_label_fits() -> None:
    name = host_name("x" * 255, "00000015", 1000, "example.org")
    assert name == "x" * 56 + "15-1000.example.org"
    assert len(name.partition(".")[0]) == 63


def test_letters_become_lower_case_and_dots_and_underscores_dashes() -> None:
    assert host_name("2Web_Shop.v2", "00000003", 1001) == "web-shop-v23-1001.local"


def test_a_suffix_that_is_empty_is_not_given() -> None:
    assert host_name("a", "00000001", 1000, "") == "a1-1000.local"


names = st.from_regex(r"[\w.-]{1,255}", fullmatch=True)


@given(names, st.integers(1, 99999999), st.integers(1000, 99999))
def test_the_first_label_is_never_too_long_nor_has_what_no_label_may_have(name: str, cluster: int, node: int) -> None:
    label = host_name(name, f"{cluster:08d}", node).removesuffix(".local")
    assert len(label) <= 63
    assert "_" not in label
    assert "." not in label
    assert label.endswith(f"{cluster}-{node}")


def test_every_node_of_a_layout_gets_a_name_of_its_own() -> None:
    layout = ClusterLayout(nodes=tuple(Node(number) for number in range(1000, 1010)), template="t")
    named = name_nodes(layout, "demo", "00000001", "local")
    assert [node.host_name for node in named.nodes] == [f"demo1-{number}.local" for number in range(1000, 1010)]
    assert named.template == "t"


@pytest.mark.parametrize("name", ["a", "web_shop.v2-x", "0", "x" * 255, "café"])
def test_cluster_names_are_letters_digits_underscores_dots_and_dashes(name: str) -> None:
    assert cluster_name_problem(name) == ""


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 256, "a\n", "$(x)", "ä!"])
def test_other_cluster_names_are_refused(name: str) -> None:
    assert "is no cluster name" in cluster_name_problem(name)


@pytest.mark.parametrize("suffix", ["local", "Example.Org", "a-b.c1", "x" * 63, ".".join(["x" * 63] * 2 + ["y" * 63])])
def test_dns_suffixes_are_labels_of_letters_digits_and_dashes(suffix: str) -> None:
    assert dns_suffix_problem(suffix) == ""


@pytest.mark.parametrize(
    ("suffix", "why"),
    [
        ("bad_suffix", '"bad_suffix" in it is none'),
        (".local", "one of them is empty"),
        ("a..b", "one of them is empty"),
        ("é.org", '"é" in it is none'),
        ("x" * 64, "1 to 63"),
        (".".join(["x" * 63] * 4), "at most 191 characters, not 255"),
        ("local\n", "in it is none"),
    ],
)
def test_other_suffixes_are_refused_with_the_reason(suffix: str, why: str) -> None:
    assert why in dns_suffix_problem(suffix)


_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@given(names, st.integers(1, 99999999), st.integers(1000, 99999))
def test_a_name_that_a_new_cluster_may_have_gives_valid_labels(name: str, cluster: int, node: int) -> None:
    label = dns_name(name, f"{cluster:08d}", node).removesuffix(".local")
    assert len(label) <= 63
    if new_name_problem(name) == "":
        assert _LABEL.fullmatch(label)


@pytest.mark.parametrize("name", ["café", "größe-集群", "日本", "שלום", "日" * 40, "é1"])
def test_letters_beyond_ascii_are_in_their_idna_form(name: str) -> None:
    assert new_name_problem(name) == ""
    label = dns_name(name, "00000015", 1000).removesuffix(".local")
    assert _LABEL.fullmatch(label)
    assert label.startswith("xn--")
    assert (
        idna.decode(label)
        == host_name(name, "00000015", 1000).removesuffix(".local")[: len(idna.decode(label)) - 7] + "15-1000"
    )


@pytest.mark.parametrize("name", ["demo_1", "2Web_Shop.v2", "x" * 63, "shop-"])
def test_names_of_ascii_letters_give_the_host_names_of_the_original(name: str) -> None:
    assert new_name_problem(name) == ""
    assert dns_name(name, "00000015", 1000, "Lab") == host_name(name, "00000015", 1000, "Lab")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("_", "does not begin with a letter"),
        ("-a", "does not begin with a letter"),
        ("12_a", "without its leading digits"),
        ("2024-11", "without its leading digits"),
        ("a" * 95, "too long"),
        ("日" * 60, "too long"),
        ("½", "gives no host names"),
        ("xn--a", "xn--"),
        ("0042", "digits alone"),
        ("", "is no cluster name"),
    ],
)
def test_a_name_that_gives_no_valid_host_names_is_refused_with_the_reason(name: str, why: str) -> None:
    assert why in new_name_problem(name)


def test_a_host_name_may_be_typed_in_letters() -> None:
    assert dns_form("日本15-1000.local") == dns_name("日本", "00000015", 1000)
    assert dns_form("cafe\u030115-1000") == dns_name("café", "00000015", 1000).removesuffix(".local")
    assert dns_form("demo1-1000.local") == "demo1-1000.local"
    assert dns_form("½½") == "½½"
