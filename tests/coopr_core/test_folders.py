"""Folders of our own have the mode that is meant, whatever the umask of whoever runs us."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from exposed import umask

from coopr_core.folders import PASSABLE, PRIVATE, SHARED, make_folder, narrow, private

pytestmark = pytest.mark.both


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("wanted", [PRIVATE, PASSABLE, SHARED])
def test_a_folder_and_those_above_it_have_the_mode_that_is_meant(tmp_path: Path, mask: int, wanted: int) -> None:
    with umask(mask):
        made = make_folder(tmp_path / "above" / "state" / "own", wanted)
    assert mode(made) == wanted
    above = PASSABLE if wanted == PRIVATE and os.geteuid() == 0 else wanted
    assert [mode(tmp_path / "above"), mode(tmp_path / "above" / "state")] == [above, above]


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    assert make_folder(tmp_path) == tmp_path
    assert mode(tmp_path) == 0o750
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")


@pytest.mark.parametrize(("before", "after"), [(0o777, 0o755), (0o775, 0o755), (0o700, 0o700), (0o1777, 0o1755)])
def test_what_others_could_write_to_is_taken_from_them(tmp_path: Path, before: int, after: int) -> None:
    tmp_path.chmod(before)
    narrow(tmp_path)
    assert mode(tmp_path) == after
    narrow(tmp_path / "missing")


def test_a_private_file_is_private(tmp_path: Path) -> None:
    with umask(0), open(tmp_path / "file", "w", opener=private) as file:
        file.write("x")
    assert mode(tmp_path / "file") == 0o600
