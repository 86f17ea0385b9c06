"""The table of forms, and one that a package brings as the docs show it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from documented_plugin import documented

from coopr_core.errors import CooprError
from coopr_core.macros import MacroContext, MacroNode, UnresolvedMacro, check_macros, expand
from coopr_core.macros.forms import FORMS, form_of, words

PLUGIN = documented("A macro", "coopr_short")
NODES = [MacroNode(1000, "shop1-1000.local", ("app",)), MacroNode(1001, "shop1-1001.local", ("db",))]
CONTEXT = MacroContext("bob", [*NODES, MacroNode(1002, "shop1-1002.local", ("db",))]).at(1000)


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    PLUGIN.install(tmp_path, monkeypatch)
    _forget()
    yield
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    from coopr_core.macros import syntax

    for known in (form_of, words, syntax._beginnings, syntax.parse):
        known.cache_clear()


def test_no_two_forms_have_the_same_first_word() -> None:
    assert len({form.word for form in FORMS}) == len(FORMS)
    assert [form.word for form in FORMS] == ["cluster", "host", "ip", "num", "instance", "secret", "config"]


def test_the_form_of_a_package_stands_for_its_values(short: None) -> None:
    config = yaml.safe_load(PLUGIN.yaml)
    assert expand(config, CONTEXT) == {"peers": "shop1-1001:7000 shop1-1002:7000", "me": "shop1-1000"}
    assert expand(config, CONTEXT.at(1002))["me"] == "shop1-1002"
    assert expand("%short.service.db[1]%", CONTEXT) == "shop1-1002"


def test_the_form_of_a_package_is_checked_like_ours(short: None) -> None:
    config = yaml.safe_load(PLUGIN.yaml)
    assert check_macros(config, ["app", "db"]) == []
    assert [problem.path for problem in check_macros(config, ["app"])] == ["config.peers"]
    assert [problem.path for problem in check_macros(config, ["app", "db"], has_self=False)] == ["config.me"]
    with pytest.raises(UnresolvedMacro, match="no node of the cluster has the service cache"):
        expand("%short.service.cache%", CONTEXT)


def test_a_package_that_is_broken_is_named(short: None, tmp_path: Path) -> None:
    (tmp_path / "coopr_short.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(CooprError, match=r"macro 'short' cannot be loaded from coopr_short:SHORT: .*nothing_of_that"):
        expand("%short.self%", CONTEXT)


def test_without_the_package_there_is_no_such_form() -> None:
    with pytest.raises(UnresolvedMacro, match=r'"short\.self" is no macro'):
        expand("%short.self%", CONTEXT)
