"""Lines come out the same, however the bytes were cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from coopr_core.remote.output import LONGEST_LINE, LineSplitter, Tail
from coopr_core.remote.redaction import Redactor


def lines(chunks: Iterable[bytes], *secrets: str, clock: Callable[[], float] = lambda: 0.0) -> list[str]:
    splitter = LineSplitter(Redactor(*secrets), clock)
    found = [line for chunk in chunks for line in splitter.feed(chunk)]
    return found + list(splitter.feed(b"", last=True))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0")), st.lists(st.integers(0, 200)))
def test_lines_do_not_depend_on_how_the_bytes_were_cut(text: str, cuts: list[int]) -> None:
    data = text.encode()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[start:end] for start, end in pairwise(edges)]
    expected = text.split("\n")
    assert lines(chunks) == (expected[:-1] if expected[-1] == "" else expected)


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert lines([b"a\xff\xfeb\n", b"\xc5"]) == ["a\ufffd\ufffdb", "\ufffd"]
    assert lines([b"nul\0\n"]) == ["nul\ufffd"]


def test_line_ends_of_other_systems_are_line_ends() -> None:
    assert lines([b"a\r\nb\r", b"\nc\r\n"]) == ["a", "b", "c"]


def test_a_progress_line_is_shown_now_and_then_and_at_its_end() -> None:
    now = iter(range(1000))
    chunks = [f"{percent}%\r".encode() for percent in range(101)]
    found = lines([*chunks, b"done\n"], clock=lambda: next(now) / 20)
    assert found[-1] == "done"
    assert found[0] == "0%"
    assert 3 < len(found) < 15


def test_a_progress_line_leaves_its_last_state_without_a_line_end() -> None:
    assert lines([b"10%\r20%\r", b"100%"])[-1] == "100%"
    assert lines([b"10%\r20%\r100%\n"]) == ["100%"]


def test_a_line_without_end_comes_in_pieces_and_loses_nothing() -> None:
    data = b"0123456789" * 100_000
    found = lines([data[at : at + 65536] for at in range(0, len(data), 65536)])
    assert "".join(found).encode() == data
    assert all(len(piece) <= LONGEST_LINE for piece in found)


def test_a_secret_on_the_edge_of_a_piece_is_redacted() -> None:
    secret = "a-secret-of-some-length"
    for offset in range(0, 60, 7):
        data = (b"x" * (LONGEST_LINE - offset) + secret.encode()) * 3
        found = lines([data[at : at + 1000] for at in range(0, len(data), 1000)], secret)
        joined = "".join(found)
        assert joined.count("***") == 3
        assert "some-length" not in joined


def test_a_tail_keeps_the_last_lines_within_its_bounds() -> None:
    tail = Tail(lines=3, characters=10)
    for line in ("one", "two", "three", "four"):
        tail.add(line)
    assert tail.lines == ("three", "four")
    assert tail.truncated
    tail.add("x" * 50)
    assert tail.lines == ("x" * 10,)
