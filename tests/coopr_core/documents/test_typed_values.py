"""A value typed on a command line: what a file would give, or text as it stands, or refused; never changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coopr_core.documents.document import parse
from coopr_core.documents.typed_value import read_value
from coopr_core.errors import InvalidInput

AS_IT_STANDS = [
    "no",
    "on",
    "yes",
    "12:30",
    "1_000",
    "2024-01-02",
    "s3cr #et",
    "#ff0000",
    "p@ss: word",
    "a:",
    ": a",
    "- a",
    "-",
    "---",
    "...",
    "@home",
    "`date`",
    "%secret.db%",
    "+%Y-%m",
    "100%",
    "*secret",
    "?",
    "|",
    ">= 1.2",
    "<<",
    "a=b",
    "first\nsecond",
    "#!/bin/sh\necho no",
    "-----BEGIN KEY-----\nabc=\n-----END KEY-----",
    "a\tb",
    "bell\x07",
    "-.NaN",
]


@pytest.mark.parametrize("text", AS_IT_STANDS)
def test_what_is_no_yaml_value_is_text_as_it_stands(text: str) -> None:
    assert read_value(text, "x") == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("5", 5),
        ("-5", -5),
        ("3.5", 3.5),
        ("true", True),
        ("null", None),
        ("~", None),
        ("'s3cr #et'", "s3cr #et"),
        ('"0644"', "0644"),
        ('"a\\nb"', "a\nb"),
        ("'it''s'", "it's"),
        (" [a, no, 1] ", ["a", "no", 1]),
        ("{a: {b: on}}", {"a": {"b": "on"}}),
        ('{\n "a": "b"\n}', {"a": "b"}),
        ("!!str 5", "5"),
    ],
)
def test_yaml_values_are_those_of_a_file(text: str, value: Any) -> None:
    assert read_value(text, "x") == value
    if text:
        assert parse(f"x: {text}", "x.yaml").value == {"x": value}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0644", 'write "0644" for text'),
        ("2.10", 'write "2.10" for the text, 2.1 for the number'),
        ("1e3", 'write "1e3" for the text, 1000.0 for the number'),
        ("0x1F", 'write "0x1F" for the text, 31 for the number'),
        ("+5", 'write "+5" for the text'),
        ("{a: [1.0, 1.00]}", 'a[1]: 1.00 would reach a script as 1.0: write "1.00"'),
        (".inf", "is not a number JSON knows"),
        ("{1: a, true: b}", 'a key must be text and this one is a number: write "1"'),
        ("{a: 1, a: 2}", 'the key "a" is given twice'),
        ("!!binary aGVsbG8=", "the tag !!binary is not known here"),
        ("!important", "the tag !important is not known here"),
        ("! x", "which is a tag in YAML"),
        ("&abc", "which is an anchor in YAML"),
        ("&x secret", "which is an anchor in YAML"),
        ("&a [*a]", "an alias stands inside the value it names"),
        ("{a: *b}", "undefined alias"),
        ("[a, b", "is no YAML"),
        ('"a" b', "is no YAML"),
        ('"a": b', "goes on after the end"),
        ("[a]: b", "a key must be text, not a list"),
        ("[::1]:4222", "is no YAML"),
        ("{a: b}}", "is no YAML"),
        ('"a" # b', "has a comment"),
        ("[a, b] # c", "has a comment"),
        ("{a: b #c\n}", "has a comment"),
        ('"a\nb"', "has text over several lines"),
        ("[a\n b]", "has text over several lines"),
        ("a: 1\nb: 2", "is YAML of several lines"),
        ("- a\n- b", "is YAML of several lines"),
        ("|\n  a", "is YAML of several lines"),
        (" a", "has blanks at its start"),
        ("a\n", "has blanks at its start or its end"),
        ("\udcff", "is not UTF-8"),
        ("[" * 3000, "nested too deeply"),
        ("[" * 3000 + "]" * 3000, "nested too deeply"),
        (
            "[&a [x], " + ", ".join(f"&{b} [{f'*{a}, ' * 20}]" for a, b in zip("abcdef", "bcdefg", strict=True)) + "]",
            "holds more than 200000 values",
        ),
    ],
)
def test_what_would_be_changed_is_refused_with_what_to_write(text: str, why: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_value(text, "--set x")
    assert why in str(refused.value)
    assert all(problem.file == "--set x" for problem in refused.value.problems)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_no_text_is_changed(text: str) -> None:
    try:
        value = read_value(text, "x")
    except InvalidInput:
        return
    if isinstance(value, str):
        assert value == text or text.strip()[:1] in {'"', "'", "!"}
    elif value is None:
        assert text.lower() in {"~", "null"}
    elif isinstance(value, int | float):
        assert json.dumps(value) == text.lower()


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFF)))
def test_any_text_can_be_written_as_json(text: str) -> None:
    assert read_value(json.dumps(text), "x") == text
