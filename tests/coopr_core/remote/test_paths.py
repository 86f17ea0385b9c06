"""One rule for where a path on a node is."""

from __future__ import annotations

import pytest

from coopr_core.model.node_conventions import below_root


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("f", "/n/root/home/f"),
        ("", "/n/root/home"),
        (".", "/n/root/home"),
        ("../tmp/f", "/n/root/tmp/f"),
        ("/tmp/f", "/n/root/tmp/f"),
        ("//tmp//f", "/n/root/tmp/f"),
        ("/tmp/../../../f", "/n/root/f"),
        ("/n/root/tmp/f", "/n/root/tmp/f"),
        ("/n/rooted/f", "/n/root/n/rooted/f"),
        ("/n/root/../f", "/n/root/n/f"),
        ("../../f", "/n/root/n/f"),
    ],
)
def test_a_path_lies_below_the_root_of_its_node(path: str, place: str) -> None:
    assert below_root(path, "/n/root", "/n/root/home") == place
    assert below_root(path.encode(), b"/n/root", b"/n/root/home") == place.encode()


@pytest.mark.parametrize(("path", "place"), [("f", "/root/f"), ("/tmp/f", "/tmp/f"), ("/../f", "/f"), ("//f", "/f")])
def test_on_a_machine_of_its_own_a_path_is_what_it_says(path: str, place: str) -> None:
    assert below_root(path, "/", "/root") == place
