"""A task's output: whole in its file, at a bearable rate in the run's log, nowhere with a secret."""

from __future__ import annotations

import logging
import shutil
import stat
from pathlib import Path

import pytest

from coopr_core.remote.redaction import Redactor
from coopr_core.work import task_log
from coopr_core.work.task_log import BACKLOG, BURST, TAIL, TaskLog


class Emitted(list[tuple[int, str]]):
    def __call__(self, level: int, text: str) -> None:
        self.append((level, text))

    @property
    def lines(self) -> list[str]:
        return [line for _, text in self for line in text.splitlines()]


def open_log(folder: Path, emitted: Emitted, *secrets: str) -> TaskLog:
    return TaskLog(folder / "logs" / "t.log", "00000001-001-001", "START x", Redactor(*secrets).redact, emitted)


def test_every_line_is_in_the_file_at_once_and_reaches_the_run_with_the_task_id(tmp_path: Path) -> None:
    emitted = Emitted()
    with open_log(tmp_path, emitted) as log:
        log("stdout", "one")
        log("stderr", "two")
        assert log.path.read_text().splitlines()[1:] == ["one", "two"]
        assert emitted == [(logging.INFO, "00000001-001-001 | one"), (logging.INFO, "00000001-001-001 | two")]
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


def test_a_log_is_for_its_owner_alone_and_its_folder_is_looked_for_only_when_it_is_missing(tmp_path: Path) -> None:
    emitted = Emitted()
    with open_log(tmp_path, emitted) as log:
        log.path.chmod(0o644)
    made: list[Path] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_log, "make_folder", made.append)
        with open_log(tmp_path, emitted):
            assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    assert made == []
    shutil.rmtree(log.path.parent)
    with open_log(tmp_path, emitted) as log:
        log("stdout", "again")
    assert stat.S_IMODE(log.path.parent.stat().st_mode) == 0o700
    assert log.path.read_text().splitlines()[1:] == ["again"]
    assert emitted == [(logging.INFO, "00000001-001-001 | again")]


def test_a_chatty_task_is_gathered_into_few_records_without_losing_or_reordering_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_log, "PACE", 0)  # however long this takes
    emitted = Emitted()
    wanted = [f"line {number}" for number in range(5000)]
    with open_log(tmp_path, emitted) as log:
        for line in wanted:
            log("stdout", line)
        assert len(emitted) <= BURST + 5
    assert emitted.lines == [f"00000001-001-001 | {line}" for line in wanted]
    assert len(emitted) < BURST + 20
    assert log.path.read_text().splitlines()[1:] == wanted


def test_what_was_gathered_is_sent_by_flush_and_before_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_log, "PACE", 0)  # however long this takes
    emitted = Emitted()
    with open_log(tmp_path, emitted) as log:
        for number in range(BURST + 3):
            log("stdout", str(number))
        sent = len(emitted.lines)
        log.flush()
        assert len(emitted.lines) == BURST + 3 > sent
        log("stdout", "again")
        log.write("it failed", logging.WARNING)
        assert emitted.lines[-2:] == ["00000001-001-001 | again", "00000001-001-001 | it failed"]


def test_a_flood_is_left_to_the_file_and_the_run_is_told_so(tmp_path: Path) -> None:
    emitted = Emitted()
    line = "x" * 10_000
    with open_log(tmp_path, emitted) as log:
        for _ in range(2 * BACKLOG // len(line)):
            log("stdout", line)
    assert sum(len(text) for _, text in emitted) < 1.5 * BACKLOG
    assert "more lines are in" in emitted.lines[-1]
    assert log.path.stat().st_size > 1.9 * BACKLOG


def test_secrets_are_in_neither_and_the_last_lines_are_kept(tmp_path: Path) -> None:
    emitted = Emitted()
    with open_log(tmp_path, emitted, "hunter22") as log:
        for number in range(TAIL + 5):
            log("stdout", f"{number} hunter22")
        assert log.tail == tuple(f"{number} ***" for number in range(5, TAIL + 5))
    assert "hunter22" not in log.path.read_text() + "".join(emitted.lines)


def test_a_second_attempt_is_appended_and_a_late_line_is_no_error(tmp_path: Path) -> None:
    for _ in range(2):
        with open_log(tmp_path, Emitted()) as log:
            log("stdout", "tried")
    log("stdout", "too late")
    assert log.path.read_text().count("==> ") == 2
    assert "too late" not in log.path.read_text()
