"""What local nodes and their scripts make is not for other users of the machine, whatever the caller's umask."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from exposed import WRITE, exposed, umask
from local_lab import Key, Lab, passable_folder

from coopr_core.providers.contract import Machine

pytestmark = pytest.mark.both


@pytest.fixture(scope="module")
def careless(key: Key) -> Iterator[tuple[Lab, Machine, Path]]:
    """A node made, image and all, by somebody whose files anybody may write to."""
    cache = passable_folder("cp-open-")
    lab = Lab(key, cache / "new" / "state")
    with pytest.MonkeyPatch.context() as patch, umask(0):
        patch.setenv("COOPR_CACHE_DIR", str(cache / "newer" / "cache"))
        yield lab, lab.node(), cache
    lab.close()
    shutil.rmtree(cache)


def test_nobody_else_reads_the_state_or_writes_to_the_cache(careless: tuple[Lab, Machine, Path]) -> None:
    lab, machine, top = careless
    lab.run(machine, "pip --version; python3 -c 'import json'; touch made; mkdir $TMPDIR/made")
    assert exposed(top / "new" / "state") == []
    assert exposed(top, WRITE) == []
    assert os.stat(top / "newer" / "cache" / "local").st_mode & 0o777 == 0o755


def test_what_commands_and_transfers_make_is_for_their_owner_alone(careless: tuple[Lab, Machine, Path]) -> None:
    lab, machine, _ = careless
    with lab.connect(machine) as connection:
        said = connection.run("umask; touch file; mkdir folder; stat -c %a file folder", hide=True, in_stream=False)
        assert said.stdout.split() == ["0077", "600", "700"]
        connection.put(io.BytesIO(b"x"), "sent")
        assert connection.run("stat -c %a sent", hide=True, in_stream=False).stdout == "600\n"


@pytest.mark.parametrize("named", [True, False])
def test_a_cache_that_others_could_write_to_is_closed_to_them(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, named: bool
) -> None:
    """A folder that the user named stays as it is; what is below it and what we named ourselves does not."""
    import platformdirs

    from coopr_core.providers.local.image import image_cache

    cache = tmp_path / "coopr"
    (cache / "local").mkdir(parents=True)
    for folder in (cache, cache / "local"):
        folder.chmod(0o777)
    if named:
        monkeypatch.setenv("COOPR_CACHE_DIR", str(cache))
    else:
        monkeypatch.delenv("COOPR_CACHE_DIR", raising=False)
        monkeypatch.setattr(platformdirs.PlatformDirs, "user_cache_dir", str(cache))
    assert image_cache(lab.state_dir) == cache / "local"
    assert (cache / "local").stat().st_mode & 0o777 == 0o755
    assert cache.stat().st_mode & 0o777 == (0o777 if named else 0o755)
