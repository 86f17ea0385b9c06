"""The blocks: registered by Prefect's own command, described, and without a secret in clear."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from prefect_server import api
from pydantic import ValidationError

from coopr_core.errors import InvalidInput
from coopr_core.providers.scope import Scope
from coopr_core.remote.keys import ensure_client_key
from flows.server import ServerInfo


def test_prefect_registers_them_and_describes_every_field(prefect_server: ServerInfo, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prefect", "block", "register", "-m", "blocks"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Successfully registered" in done.stdout
    for slug in ("coopr-ssh-key", "coopr-local-provider-settings", "coopr-http-callback"):
        kind = api(prefect_server, f"/block_types/slug/{slug}")
        assert kind["logo_url"] is None
        assert kind["description"]
        assert "```python" in kind["code_example"]
        (schema, *_) = api(
            prefect_server, "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [kind["id"]]}}}
        )
        assert all(field.get("description") for field in schema["fields"]["properties"].values())


def test_a_private_key_is_kept_hidden_and_becomes_a_file_only_its_owner_reads(
    prefect_server: ServerInfo, tmp_path: Path
) -> None:
    from blocks import SshKey

    public = ensure_client_key(tmp_path / "key")
    text = (tmp_path / "key").read_text()
    SshKey(private_key=text).save("hidden", overwrite=True)
    loaded = SshKey.load("hidden")
    assert text.splitlines()[1] not in repr(loaded) + json.dumps(
        api(prefect_server, "/block_types/slug/coopr-ssh-key/block_documents/name/hidden")
    )
    path = loaded.key_path(tmp_path / "state")
    assert path == loaded.key_path(tmp_path / "state")
    assert path.read_text() == text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert loaded.authorized_key() == public
    assert SshKey(private_key_path=str(tmp_path / "key")).authorized_key() == public


def test_a_key_that_cannot_be_used_is_refused_by_name(prefect_server: ServerInfo, tmp_path: Path) -> None:
    from blocks import SshKey

    with pytest.raises(ValidationError, match="not both and not neither"):
        SshKey()
    with pytest.raises(InvalidInput, match="nowhere of the SSH key block cannot be read"):
        SshKey(private_key_path=str(tmp_path / "nowhere")).key_path()
    with pytest.raises(InvalidInput, match="cannot be used"):
        SshKey(private_key="not a key").authorized_key()


def test_local_settings_are_checked_by_the_provider_and_make_one(prefect_server: ServerInfo) -> None:
    from blocks import LocalProviderSettings

    with pytest.raises(ValidationError, match="loopback"):
        LocalProviderSettings(address_range="10.0.0.0/8")
    settings = LocalProviderSettings(address_range="127.9.0.0/24", port=2300)
    assert settings.settings() == {"address_range": "127.9.0.0/24", "port": 2300}
    assert settings.provider().find(Scope(cluster_id="00000001")).machines == ()
