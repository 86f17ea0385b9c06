"""Files are read as they stand, or every problem of them is reported with its line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coopr_core.catalog.entities import ClusterTemplate, HardwareType, Service
from coopr_core.catalog.validation import entity_from
from coopr_core.documents.document import LARGEST, parse, read
from coopr_core.documents.yaml_text import dump
from coopr_core.errors import InvalidInput


def problem_of(text: str, file: str = "x.yaml") -> tuple[int, str]:
    with pytest.raises(InvalidInput) as error:
        parse(text, file)
    problem = error.value.problems[0]
    assert problem.file == file
    return problem.line, problem.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: no\nb: on\nc: yes", {"a": "no", "b": "on", "c": "yes"}),
        ("a: true\nb: False", {"a": True, "b": False}),
        ("a: 12:30\nb: 2024-01-01\nc: 1_000", {"a": "12:30", "b": "2024-01-01", "c": "1_000"}),
        ("a: 0o17\nb: 0x1f\nc: -5\nd: +5", {"a": 15, "b": 31, "c": -5, "d": 5}),
        ("a: 1e3\nb: .5\nc: 1.", {"a": 1000.0, "b": 0.5, "c": 1.0}),
        ("a: ~\nb:\nc: ''", {"a": None, "b": None, "c": ""}),
        ("a: !!str 5", {"a": "5"}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}", {"a": {"k": 1, "l": 2}, "b": {"k": 3, "l": 2}}),
        ("---\na: 1\n...\n", {"a": 1}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ('{"json": [1, null]}', {"json": [1, None]}),
    ],
)
def test_yaml_is_read_by_the_rules_of_yaml_1_2(text: str, value: Any) -> None:
    assert parse(text, "x.yaml").value == value


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3", 3, 'the key "a" is given twice'),
        ("a: 1\n  b: 2", 2, "is no YAML"),
        ("a: 1\n\tb: 2", 2, "a tab: YAML is indented with blanks"),
        ("a:\n  - 'x", 2, "unexpected end of stream"),
        ("a: 1\n---\nb: 2", 3, "more than one document"),
        ("a: 1\n5: 2", 2, 'a key must be text and this one is a number: write "5"'),
        ("true: 2", 1, 'a key must be text and this one is true or false: write "true"'),
        ("? [a]\n: 2", 1, "a key must be text, not a list"),
        ("a: 0644", 1, 'write "0644" for text, 0o644 for octal'),
        ("a: 1\nb: .nan", 2, "is not a number JSON knows"),
        ("a: !!python/object:os.system x", 1, "the tag !!python/object:os.system is not known"),
        ("a: !mine x", 1, "the tag !mine is not known"),
        ("a: !!timestamp 2024-01-01", 1, "the tag !!timestamp is not known"),
        ("a: &x\n  b: *x", 1, "an alias stands inside the value it names"),
        ("a: *nothing", 1, "undefined alias"),
        ("a: {<<: 3}", 1, '"<<" takes a map'),
        ("", 0, "is empty"),
        ("# only a comment\n", 0, "is empty"),
        ("a: \x01", 1, "is no YAML"),
        ("[" * 200 + "]" * 200, 0, "nested too deeply"),
        ("[" * 200000 + "]" * 200000, 0, "nested too deeply"),
        ("- " * 100000, 0, "nested too deeply"),
        ("".join(" " * n + "a:\n" for n in range(1500)), 0, "nested too deeply"),
    ],
)
def test_what_is_wrong_with_yaml_is_reported_with_its_line(text: str, line: int, message: str) -> None:
    found_line, found = problem_of(text)
    assert message in found
    assert found_line in {line, line + 1} if message.startswith("an alias") else found_line == line


def test_all_problems_of_a_file_are_reported_at_once() -> None:
    with pytest.raises(InvalidInput) as error:
        parse("a: 01\nb: {c: 1, c: 2}\n7: x", "x.yml")
    assert [(p.line, p.path) for p in error.value.problems] == [(1, "a"), (2, "b.c"), (3, "7")]


def test_aliases_cannot_stand_for_billions_of_values() -> None:
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
    )
    assert "holds more than" in problem_of(bomb)[1]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('{\n "a": 1,\n}', 2, "is no JSON"),
        ('{\n\t"a": 1,\n\t"b": {"c": 1,\n\t"c": 2}\n}', 4, 'the key "c" is given twice'),
        ('{"a": 1} x', 1, "extra data, column 10"),
        ('{"a":\n NaN}', 2, "NaN is not JSON"),
        ('{"a": ' + "9" * 5000 + "}", 0, "is no JSON"),
        (" ", 0, "is empty"),
        ("[" * 200 + "]" * 200, 0, "nested too deeply"),
        ("[" * 200000, 0, "nested too deeply"),
        ("{'a': 1}", 1, "expecting property name"),
    ],
)
def test_what_is_wrong_with_json_is_reported_with_its_line(text: str, line: int, message: str) -> None:
    found_line, found = problem_of(text, "x.json")
    assert message in found
    assert found_line == line or message == "is no JSON"


def test_a_line_is_known_for_every_path_of_yaml_and_of_json_with_tabs() -> None:
    yaml = parse("a:\n  - b: 1\n    c: 2\n  - 3\n", "x.yaml")
    assert [yaml.line(path) for path in [(), ("a",), ("a", 0, "c"), ("a", 1), ("a", 7), ("a", 0, "z")]] == [
        *(1, 1, 3, 4, 1, 2)
    ]
    assert parse('{\n\t"a": [\n\t\t1,\n\t\t{"b": "\\ud83d\\ude00"}\n\t]\n}', "x.json").line(("a", 1, "b")) == 4


json_trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(json_trees)
def test_json_is_read_as_it_was_written(tree: Any) -> None:
    assert parse(json.dumps(tree), "x.json").value == tree


@given(st.text())
def test_no_text_is_answered_with_a_traceback(text: str) -> None:
    for file in ("x.yaml", "x.json"):
        with suppress(InvalidInput):
            parse(text, file)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read(file).value == {"a": 1}


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        ("a: 1\nb: ü\n".encode("latin-1"), "is not UTF-8 text: byte 0xfc", 2),
        ("a: 1".encode("utf-16"), "is not UTF-8 text", 1),
        (b"a: 1\nb: \0\n", "NUL byte", 2),
        (b"x" * (LARGEST + 1), "is larger than 4 MB", 0),
        (b"", "is empty", 0),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, message: str, line: int) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    with pytest.raises(InvalidInput) as error:
        read(file)
    (problem,) = error.value.problems
    assert message in problem.message
    assert problem.line == line


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link.yaml").symlink_to(tmp_path / "gone.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    for name, message in [
        ("none.yaml", "no such file"),
        ("link.yaml", "a link to nothing"),
        (".", "is not a file"),
        ("pipe.yaml", "is not a file"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            read(tmp_path / name)


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("a: 1")
    file.chmod(0)
    with ordinary_user(), pytest.raises(InvalidInput, match="cannot be read: Permission denied"):
        read(file)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root may read every file, so it becomes somebody else for a while."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


LOST = ["3.10", "1.20", "1234e5", "1e3", "0x1F", "0o17", "+5", ".5", "5.", "-0", "0.1234567890123456789"]


@pytest.mark.parametrize("number", LOST)
def test_a_number_in_config_whose_text_would_be_lost_is_to_be_put_in_quotes(number: str) -> None:
    document = parse(f"name: t\ndefaults:\n  config:\n    a: [x, {{b: {number}}}]\n", "t.yaml")
    with pytest.raises(InvalidInput) as refused:
        entity_from(ClusterTemplate, document)
    (problem,) = refused.value.problems
    assert (problem.file, problem.line, problem.path) == ("t.yaml", 4, "defaults.config.a[1].b")
    assert f'write "{number}" for the text' in problem.message
    with pytest.raises(InvalidInput):
        _ = document.exact_value


@pytest.mark.parametrize("number", ["5", "-5", "3.1", "-0.0", "1e+20", "1e-07", "12345678901234567890123", "1000.0"])
def test_a_number_that_reaches_a_script_as_it_is_written_is_one(number: str) -> None:
    for text, file in ((f"a: {number}", "x.yaml"), (f'{{"a": {number}}}', "x.json")):
        value = parse(text, file).exact_value
        assert json.dumps(value["a"]) == number
        assert type(value["a"]) in {int, float}


def test_numbers_of_json_files_keep_their_text_too() -> None:
    document = parse('{"name": "s", "provisioner": {"actions": {"start": {\n"fields": {"tag": 1.10}}}}}', "s.json")
    with pytest.raises(InvalidInput, match=r's\.json:2: provisioner\.actions\.start\.fields\.tag: .*write "1\.10"'):
        entity_from(Service, document)
    with pytest.raises(InvalidInput, match="1e999 is larger"):
        parse('{"a": 1e999}', "x.json")


def test_what_wants_text_or_a_number_gets_what_was_written() -> None:
    text = "name: h\nprovidermap: {p: {flavor: 1.10, cost: 0.60}}"
    offer = entity_from(HardwareType, parse(text, "h.yaml")).providermap["p"]
    assert (offer.flavor, offer.cost) == ("1.10", "0.60")
    size = entity_from(ClusterTemplate, parse("name: t\nconstraints: {size: {min: +3, max: 0x10}}", "t.yaml"))
    assert (size.constraints.size.min, size.constraints.size.max) == (3, 16)


SHORT = st.text(max_size=5)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.none() | st.booleans() | NUMBERS | SHORT | st.sampled_from([*LOST, "no", "12:30", "~", "1.0e+20", "<<"])


@given(st.dictionaries(SHORT, st.lists(VALUES, max_size=4), max_size=4))
@example({"\x85": ["\u2028a\u2029", "a\nb\n", " a", "# b", "a: b"]})
def test_what_is_printed_as_yaml_is_read_as_the_same_values(value: dict[str, Any]) -> None:
    again = parse(dump(value), "x.yaml").exact_value
    assert json.dumps(again) == json.dumps(value)
