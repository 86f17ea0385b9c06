"""Passwords of clusters, made from a key that only the vault keeps; no Prefect is needed for any of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from memory_vault import MemoryVault
from store_samples import new_cluster

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.maintenance.leftovers import delete_leftovers, find_leftovers
from coopr_core.model.facts import ClusterFacts, ProviderFacts
from coopr_core.providers.credentials import cluster_clouds, make_cloud
from coopr_core.remote.keys import client_key, own_key
from coopr_core.store import Store
from coopr_core.work.passwords import clusters_with_keys, forget_secrets, key_name, known_secrets, open_secrets


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("COOPR_STATE_DIR", str(tmp_path / "state"))
    with Store.open() as opened:
        yield opened


def test_a_clusters_passwords_are_the_same_for_all_who_ask_and_are_hidden_first(store: Store) -> None:
    vault, hidden = MemoryVault(), list[str]()
    assert known_secrets(store, vault, "00000001", hidden.append) is None
    password = open_secrets(store, vault, "00000001", hidden.append)("admin")
    assert hidden == [vault.secrets[key_name(store, "00000001")], password]
    known = known_secrets(store, vault, "00000001", hidden.append)
    assert known is not None
    assert (known("admin"), known("other") == password) == (password, False)
    assert open_secrets(store, vault, "00000002", hidden.append)("admin") != password


def test_keys_of_other_installations_are_neither_seen_nor_forgotten(store: Store) -> None:
    vault = MemoryVault()
    vault.secrets = {"coopr-ffffffff-00000001": "theirs", "something": "else"}
    open_secrets(store, vault, "00000007", lambda text: None)
    assert clusters_with_keys(store, vault) == ["00000007"]
    forget_secrets(store, vault, "00000007")
    forget_secrets(store, vault, "00000001")
    assert vault.secrets == {"coopr-ffffffff-00000001": "theirs", "something": "else"}


def test_keys_of_clusters_that_are_gone_are_leftovers_if_the_vault_can_be_asked(store: Store) -> None:
    vault = MemoryVault()
    living = new_cluster(store, "living")
    for cluster_id in (living.id, "00000099"):
        open_secrets(store, vault, cluster_id, lambda text: None)
    found = find_leftovers(store, vault)
    assert [(item.kind, item.name) for item in found.items] == [("secret", key_name(store, "00000099"))]
    assert list(delete_leftovers(store, found.items, vault).values()) == [""]
    assert clusters_with_keys(store, vault) == [living.id]
    vault.reachable = False
    assert any("does not answer" in unseen for unseen in find_leftovers(store, vault).unseen)
    assert any("no Prefect server runs" in unseen for unseen in find_leftovers(store, None).unseen)


def test_settings_and_key_of_a_cluster_are_asked_of_the_vault_when_they_are_needed(
    store: Store, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    vault = MemoryVault({"acme/lab": {"port": 2399}}, {"keys/ours": key})
    facts = ClusterFacts((ProviderFacts("local", "local", credentials="acme/lab"),), "keys/ours")
    cluster = new_cluster(store, "demo", facts=facts)
    assert client_key(cluster, vault) == key
    assert client_key(new_cluster(store, "plain"), vault) == own_key()
    assert list(cluster_clouds(cluster, vault).all())
    with pytest.raises(NotFound, match="acme/lab"):
        list(cluster_clouds(cluster, MemoryVault()).all())
    with pytest.raises(NotFound, match="in a block, and no Prefect server runs"):
        list(cluster_clouds(cluster, None).all())


def test_a_block_that_the_catalog_names_without_its_type_is_found_by_that_of_the_provider(store: Store) -> None:
    facts = ProviderFacts("local", "local", credentials="lab")
    with pytest.raises(NotFound, match="no lab"):
        make_cloud(facts, MemoryVault())
    with pytest.raises(InvalidInput, match="local provider cannot be used"):
        make_cloud(facts, MemoryVault({"acme/lab": {"port": 1 << 20}}))


def test_secrets_among_a_providers_settings_are_hidden(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydantic import SecretStr

    from coopr_core.providers import credentials
    from coopr_core.providers.settings import ProviderSettings

    class Settings(ProviderSettings):
        token: SecretStr | None = None
        port: int | None = None

    monkeypatch.setattr(credentials, "settings_type", lambda kind: Settings)
    monkeypatch.setattr(credentials, "load_cloud", lambda kind, settings: None)
    hidden: list[str] = []
    facts = ProviderFacts("lab", "acme", {"port": 22}, "acme/lab")
    credentials.make_cloud(facts, MemoryVault({"acme/lab": {"token": "tok-1"}}), hidden.append)
    assert hidden == ["tok-1"]
