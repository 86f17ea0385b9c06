"""Whoever lets anybody write to his files still keeps what coopr makes: a whole cluster, its server, its cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from exposed import WRITE, exposed
from flow_catalog import service, write_catalog


@pytest.mark.real
def test_nothing_that_a_whole_life_of_a_cluster_makes_is_for_others(tmp_path: Path) -> None:
    top = Path(tempfile.mkdtemp(prefix="coopr-open-"))
    top.chmod(0o711)
    catalog = write_catalog(
        tmp_path / "catalog", {"base": service(start="touch $COOPR_DATA/made; (sleep 2; echo x) &")}
    )
    unset = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in unset} | {
        "COOPR_STATE_DIR": str(top / "new" / "state"),
        "COOPR_CACHE_DIR": str(top / "newer" / "cache"),
    }

    def coopr(*words: str) -> None:
        command = [sys.executable, "-m", "coopr_cli", *words]
        ended = subprocess.run(command, env=environment, umask=0, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stdout + ended.stderr

    try:
        coopr("create", "open", "--catalog", catalog, "--template", "tiny", "--nodes", "1", "-y")
        coopr("ssh-config", "open")
        coopr("scp", str(Path(__file__)), "open:1000:/tmp/")
        assert exposed(top / "new" / "state") == []
        assert exposed(top, WRITE) == []
        coopr("delete", "open", "-y")
        assert exposed(top / "new" / "state") == []
    finally:
        coopr("server", "stop")
        shutil.rmtree(top)
