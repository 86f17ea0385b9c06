"""A secret never comes through, in whatever form it is written."""

from __future__ import annotations

import base64
import io
import json
import logging
import shlex
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coopr_core.remote.redaction import RedactingFilter, Redactor

SECRET = 'p@ss w/örd "quoted"\\+'


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        repr(SECRET),
        shlex.quote(SECRET),
    ],
)
def test_a_secret_is_redacted_in_each_form(form: str) -> None:
    redacted = Redactor(SECRET).redact(f"before {form} after")
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")
    assert "rd" not in redacted


@given(st.binary(max_size=7), st.binary(max_size=7))
def test_a_secret_inside_base64_text_is_redacted(before: bytes, after: bytes) -> None:
    secret = "correct horse battery"
    text = base64.b64encode(before + secret.encode() + after).decode()
    redacted = Redactor(secret).redact(text)
    assert "***" in redacted
    assert len(redacted) < len(text) - 20


def test_short_values_are_left_alone_and_the_longest_match_wins() -> None:
    redactor = Redactor("abc", "", "pass", "password")
    assert redactor.redact("abc password pass") == "abc *** ***"


def test_each_line_of_a_key_is_redacted() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIPk\nsecondlineofkey==\n-----END PRIVATE KEY-----\n"
    redactor = Redactor(key)
    assert [redactor.redact(line) for line in key.splitlines()] == ["***"] * 4


@given(st.text(min_size=4), st.text(), st.text())
def test_no_added_text_is_ever_left(secret: str, before: str, after: str) -> None:
    redacted = Redactor(secret).redact(before + secret + after)
    assert secret not in redacted.replace("***", "") or secret in "***" or secret in before + after


def test_log_records_are_redacted_with_their_arguments_tracebacks_and_extras() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s %(place)s"))
    handler.addFilter(RedactingFilter(Redactor("hunter2hunter2")))
    logger = logging.getLogger("test.redaction.child")
    logger.propagate = False
    logger.addHandler(handler)
    try:
        raise ValueError("bad hunter2hunter2")
    except ValueError:
        logger.exception("password %s of %d", "hunter2hunter2", 7, extra={"place": "at hunter2hunter2"})
    text = stream.getvalue()
    assert "password *** of 7 at ***" in text
    assert "ValueError: bad ***" in text
    assert "hunter2" not in text
