"""Macros in config: what each form gives, what is an error, and that texts are expanded wholly or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from growth import growth
from hypothesis import given
from hypothesis import strategies as st

from coopr_core.errors import InvalidInput
from coopr_core.macros import MacroContext, MacroNode, UnresolvedMacro, check_macros, expand, uses
from coopr_core.macros.syntax import cut, literal, parse, with_escapes

NODES = (
    MacroNode(1002, "web-1-1002.local", ("app",), {"bind_v4": "10.0.0.3", "access_v4": "9.0.0.3"}),
    MacroNode(1000, "web-1-1000.local", ("db",), {"bind_v4": "10.0.0.1", "access_v4": "9.0.0.1"}),
    MacroNode(1001, "web-1-1001.local", ("app", "a.b"), {"bind_v4": "10.0.0.2", "access_v4": "9.0.0.2"}),
)
CONTEXT = MacroContext("alice", NODES, 1001, secret=lambda name: f"<{name}>")


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("%cluster.owner%", "alice"),
        ("%host.self%", "web-1-1001.local"),
        ("%ip.self%", "10.0.0.2"),
        ("%ip.access_v4.self%", "9.0.0.2"),
        ("%host.service.app%", "web-1-1001.local,web-1-1002.local"),
        ("%ip.service.app%", "10.0.0.2,10.0.0.3"),
        ("%ip.access_v4.service.app[1]%", "9.0.0.3"),
        ("%ip.service.a.b%", "10.0.0.2"),
        ("%num.service.app%", "2"),
        ("%num.service.nobody%", "0"),
        ("%instance.self.service.app%", "1"),
        ("%map(ip.service.app,'$:80')%", "10.0.0.2:80,10.0.0.3:80"),
        ("%join(host.service.app,' ')%", "web-1-1001.local web-1-1002.local"),
        ("%join(map(ip.service.app,'$$$-$'),\";\")%", "$10.0.0.2-10.0.0.2;$10.0.0.3-10.0.0.3"),
        ("%join(map(ip.service.app[0],'[$]'),'')%", "[10.0.0.2]"),
        ("a %ip.self%, b %num.service.db%%", "a 10.0.0.2, b %num.service.db%%"),
        ("5% off", "5% off"),
        ("100%% sure", "100%% sure"),
        ("key=%secret.db-password%", "key=<db-password>"),
    ],
)
def test_each_form_has_its_value(text: str, expanded: str) -> None:
    assert expand(text, CONTEXT) == expanded


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x %host.self% %host.service.nobody%", "no node of the cluster has the service nobody"),
        ("%ip.access_v6.self%", "node 1001 has no address access_v6"),
        ("%host.service.app[2]%", "fewer than 3 nodes"),
        ("%instance.self.service.nobody%", "no node of the cluster has the service nobody"),
        ("50% of 100%", "a macro's name is expected at character 1"),
        ("%host.service.%", "a service's name is missing"),
        ("%hots.self%", '"hots.self" is no macro'),
        ("%host.self%%ip.self%", "nothing more can follow at character 10"),
        ("%join(host.service.app)%", ", is expected at character 22"),
        ("%map(host.service.app,'$)%", "no closing '"),
        ("%map(host.service.app,$)%", "a text in quotes is expected"),
        ("%%%%%host.self x%", "nothing more can follow"),
    ],
)
def test_what_cannot_be_resolved_names_macro_path_and_node(text: str, why: str) -> None:
    with pytest.raises(UnresolvedMacro) as error:
        expand({"a": [{"b.c": text}]}, CONTEXT)
    assert isinstance(error.value, InvalidInput)
    assert error.value.exit_code == 3
    (problem,) = error.value.problems
    assert problem.path == "config.a[0].b.c"
    assert why in problem.message
    assert "on node 1001" in problem.message
    assert problem.message in str(error.value)


def test_everything_that_cannot_be_resolved_is_reported_at_once() -> None:
    with pytest.raises(UnresolvedMacro, match="2 macros cannot be resolved on node 1001") as error:
        expand({"a": "%host.service.x%", "b": "fine %host.self%", "c": "%nonsense%"}, CONTEXT)
    assert [problem.path for problem in error.value.problems] == ["config.a", "config.c"]


def test_the_instance_of_a_service_the_node_does_not_have_leaves_the_whole_text_alone() -> None:
    text = "%host.self%:%instance.self.service.db%"
    assert expand(text, CONTEXT) == text
    assert expand(text, CONTEXT.at(1000)) == "web-1-1000.local:1"


def test_links_have_no_node_that_self_could_mean() -> None:
    links = MacroContext("alice", NODES)
    assert expand("http://%ip.access_v4.service.db%", links, "links[0].url") == "http://9.0.0.1"
    with pytest.raises(UnresolvedMacro, match="no node that is meant by self"):
        expand("http://%ip.self%", links, "links[0].url")


def test_a_secret_is_asked_for_each_time_and_never_shown() -> None:
    asked: list[str] = []
    context = MacroContext("alice", NODES, 1000, secret=lambda name: asked.append(name) or "s3cret")  # type: ignore[func-returns-value]
    assert expand(["%secret.a%", "%secret.a%"], context) == ["s3cret", "s3cret"]
    assert asked == ["a", "a"]
    assert "s3cret" not in repr(context)
    with pytest.raises(UnresolvedMacro) as error:
        expand("%secret.a% %host.service.x%", context)
    assert "s3cret" not in str(error.value)
    with pytest.raises(UnresolvedMacro, match="only on the way to a node"):
        expand("%secret.a%", MacroContext("alice", NODES, 1000))


def test_what_is_known_beforehand_is_found_beforehand() -> None:
    tree = {"ok": "%host.service.app% %num.service.x%", "bad": ["%ip.service.ap%", "%oops%"], "v6": "%ip.v6.self%"}
    problems = check_macros(tree, {"app", "db"})
    assert [(problem.path, problem.severity) for problem in problems] == [
        ("config.bad[0]", "error"),
        ("config.bad[1]", "error"),
        ("config.v6", "error"),
    ]
    assert 'did you mean "app"?' in problems[0].message
    assert check_macros({"url": "http://%ip.self%"}, {"app"}, "links", has_self=False)[0].path == "links.url"
    assert check_macros("%ip.v6.self%", {"app"}, addresses=("v6",)) == []


def test_the_uses_of_macros_are_listed_with_their_paths() -> None:
    found = list(uses({"a": ["%host.self% %ip.service.db%"], "b": 1}))
    assert [(use.path, use.source) for use in found] == [(("a", 0), "%host.self%"), (("a", 0), "%ip.service.db%")]
    assert [use.needs for use in found] == ["", "db"]


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_characters="%"))
)
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4))


@given(trees)
def test_a_tree_without_macros_is_expanded_to_itself(tree: Any) -> None:
    assert expand(tree, CONTEXT) == tree


@given(st.text("%ab.", max_size=30))
def test_the_pieces_of_a_text_put_together_are_the_text(text: str) -> None:
    assert "".join(f"%{piece}%" if is_macro else piece for is_macro, piece in cut(text)) == text


forms = st.sampled_from(
    ["%host.self%", "%ip.service.app%", "%num.service.x%", "%host.service.x%", "%oops%", "%%", "% ", "%", " ", "text"]
)


@given(st.lists(forms, max_size=6).map("".join))
def test_a_text_is_expanded_wholly_or_refused(text: str) -> None:
    try:
        expanded = expand(text, CONTEXT)
    except UnresolvedMacro:
        assert check_macros(text, {"app", "db"})
    else:
        assert check_macros(text, {"app", "db"}) == []
        assert not any(known in expanded for known in ("%host.self%", "%ip.service.app%")) or "%%" in expanded
        assert expanded.count("%") == sum(piece.count("%") for is_macro, piece in cut(text) if not is_macro)


def test_lists_are_in_the_order_of_the_nodes_numbers_whatever_order_they_are_given_in() -> None:
    assert expand("%host.service.app%", MacroContext("a", NODES[::-1])) == expand(
        "%host.service.app%", MacroContext("a", NODES)
    )


def test_expanding_the_config_of_every_node_costs_in_proportion_to_the_nodes() -> None:
    config = {f"key{n}": "%join(map(ip.service.s,'$:80'),',')%" for n in range(10)} | {"me": "%host.self%"}

    def expanding(count: int) -> Callable[[], object]:
        address = [f"10.0.{n // 256}.{n % 256}" for n in range(count)]
        nodes = [MacroNode(n, f"host-{n}.local", ("s",), {"bind_v4": address[n]}) for n in range(count)]

        def expand_all() -> None:
            context = MacroContext("a", nodes)
            for node in nodes:
                assert json.dumps(expand(config, context.at(node.number))["me"]) == f'"{node.host_name}"'

        return expand_all

    assert growth(expanding, 250, 4000) < 64, "256 when every node listed all the others anew"


PERCENTS = [
    "+%Y-%m-%d",
    "%d{ISO8601} %p %c: %m%n",
    "http://x/?q=a%20b%20c",
    "s%cr%t",
    "50% of 100%",
    "%host.self%",
    "%%host.self%%",
    'it\'s 5% "or" 6%',
    "a')%b",
    "a')%b\")%c",
    "'",
    "%literal('x')%",
    "first %a\nsecond %b",
]


@pytest.mark.parametrize("text", PERCENTS)
def test_the_escape_gives_any_text_as_it_stands(text: str) -> None:
    assert expand(literal(text), CONTEXT) == text
    assert expand(f"%host.self%/{literal(text)}%ip.self%", CONTEXT) == f"web-1-1001.local/{text}10.0.0.2"
    assert expand(f"%ip.self%{literal(text)}{literal(text)}", CONTEXT) == f"10.0.0.2{text}{text}"
    assert expand(f"5% {literal(text)} 6%", CONTEXT) == f"5% {text} 6%"
    assert list(uses(literal(text))) == []


@given(st.text("%()'\"literal.", max_size=40))
def test_the_escape_holds_whatever_is_in_it(text: str) -> None:
    assert "".join(str(piece) for piece in parse(literal(text))) == text


@pytest.mark.parametrize("text", ["%%literal('x')%", "%%literal('x')%%", "100%", "a%%b", "%%%%", "literal('x')%"])
def test_texts_the_original_accepts_keep_their_meaning(text: str) -> None:
    assert expand(text, CONTEXT) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("+%Y-%m-%d", "%literal('+%Y-%m-%d')%"),
        ("http://%host.self%/a%20b%20c", "http://%host.self%%literal('/a%20b%20c')%"),
        ("50% of 100%", "%literal('50% of 100%')%"),
    ],
)
def test_an_error_says_how_text_with_percents_is_written(text: str, written: str) -> None:
    (problem,) = check_macros({"a": text}, {"app"})
    assert f'write "{written}"' in problem.message
    with pytest.raises(UnresolvedMacro) as error:
        expand({"a": text}, CONTEXT)
    assert f'write "{written}"' in error.value.problems[0].message
    assert "%literal('...')%" in error.value.hint
    assert with_escapes(text) == written
    assert expand(written, CONTEXT) == text.replace("%host.self%", "web-1-1001.local")


@pytest.mark.parametrize("key", ["password", "db_pass", "apiToken", "pw"])
def test_a_password_that_looks_like_a_macro_is_not_shown(key: str) -> None:
    (problem,) = check_macros({"db": {key: "hush%hush%"}}, {"app"})
    with pytest.raises(UnresolvedMacro) as error:
        expand({"db": {key: "hush%hush%"}}, CONTEXT)
    for told in (str(problem), str(error.value)):
        assert "hush" not in told
        assert "%literal('...')%" in told


def test_an_escape_beside_an_instance_the_node_does_not_have_is_still_an_escape() -> None:
    assert expand("%literal('%a%')% %instance.self.service.db%", CONTEXT) == "%a% %instance.self.service.db%"


def test_a_value_with_escapes_is_a_plain_value_for_other_texts() -> None:
    config = {"date": literal("+%Y-%m-%d"), "rate": "100%", "other": "%host.self%"}
    context = MacroContext("alice", NODES, 1001, config=config)
    assert expand("date %config.date% %config.rate%", context) == "date +%Y-%m-%d 100%"
    with pytest.raises(UnresolvedMacro, match="not a plain value"):
        expand("%config.other%", context)


@pytest.mark.parametrize("text", ["%literal('", "%x%%literal('", "%%literal('", "%literal('x", "%a"])
def test_many_beginnings_of_escapes_cost_in_proportion_to_the_text(text: str) -> None:
    def cutting(times: int) -> Callable[[], object]:
        return lambda: list(cut("".join([text] * times), loose=True))  # another object each time, as configs are

    assert growth(cutting, 1000, 16000) < 48, "256 when every beginning is looked for an end anew"
