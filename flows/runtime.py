"""The parts a cluster is worked on with: provider, the key that opens its nodes, and where its logs are.

A cluster keeps what it was made with (provider entity and block names) in the parameters of its jobs, so that it can be
reached and deleted long after the catalog has changed. Secrets are read from their Prefect block when they are needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from coopr_core.catalog.entities import Provider as ProviderEntity
from coopr_core.errors import NotFound
from coopr_core.model.records import ClusterRecord
from coopr_core.providers import load_provider
from coopr_core.providers.contract import USABLE_WITHIN, KnowsItsPace
from coopr_core.remote.keys import ensure_client_key, load_key, public_key
from coopr_core.settings import load_settings

if TYPE_CHECKING:
    from coopr_core.providers.contract import Provider
    from coopr_core.store import Store


def client_key(store: Store | None = None, cluster: ClusterRecord | None = None) -> Path:
    """The private key that opens the nodes of ``cluster``; the default is ours, made on first need."""
    block = str(_made_with(store, cluster).get("ssh_key", "")) if store and cluster else ""
    if block:
        return key_of_block(block)
    path = load_settings().state_dir / "ssh" / "id_ed25519"
    ensure_client_key(path)
    return path


def key_of_block(block: str) -> Path:
    """The private key of an SSH key block, ``<type>/<name>``, as a file. Raises ``NotFound``."""
    return Path(load_block(block).key_path())


def authorized_key(path: Path) -> str:
    """The public half of a private key file, in OpenSSH form."""
    return public_key(load_key(path))


def needs_blocks(store: Store, cluster: ClusterRecord) -> bool:
    """Whether Prefect must be asked for a block before the cluster's machines can be reached."""
    return bool(cluster.provider_settings or _made_with(store, cluster).get("ssh_key"))


def cluster_provider(store: Store, cluster: ClusterRecord) -> Provider:
    """The provider plug-in of a cluster, with the settings it was made with and those of its block as they are now."""
    return make_provider(provider_entity(store, cluster), cluster.provider_settings)


def usable_within(provider: Provider) -> float:
    """How many seconds a machine may take to become usable: the provider's own word, if it has one."""
    return provider.usable_within if isinstance(provider, KnowsItsPace) else USABLE_WITHIN


def provider_entity(store: Store, cluster: ClusterRecord) -> ProviderEntity:
    """The provider as it was when the cluster was made; for a cluster whose first job never began, today's."""
    kept = _made_with(store, cluster).get("provider")
    if kept:
        return ProviderEntity.model_validate(kept)
    from coopr_core.catalog import Catalog

    return Catalog.load(load_settings().catalog).provider(cluster.provider)


def make_provider(entity: ProviderEntity, block: str) -> Provider:
    """The plug-in for a provider entity, its settings overlaid by those of the block called ``<type>/<name>``."""
    settings = dict(entity.provisioner)
    if block:
        settings.update(load_block(block).settings())
    return load_provider(entity.providertype, settings)


def load_block(block: str) -> Any:
    """One of our blocks by ``<type>/<name>``. Raises ``NotFound`` when Prefect does not have it (any more)."""
    import blocks

    slug, _, name = block.partition("/")
    kinds = [getattr(blocks, known) for known in blocks.__all__]
    kind = next((kind for kind in kinds if kind.get_block_type_slug() == slug), None)
    try:
        if kind is not None:
            return kind.load(name, _sync=True)
    except ValueError as error:
        raise NotFound(
            f"Prefect has no block {block}", hint="save it again under this name; the cluster needs it"
        ) from error
    raise NotFound(f"there is no block type {slug!r}", hint="`prefect block register -m blocks`")


def job_parameters(entity: ProviderEntity, ssh_key: str, **others: Any) -> dict[str, Any]:
    """What a job keeps so that its cluster can be reached later; nothing in it is secret."""
    return {"provider": entity.model_dump(mode="json", exclude_defaults=True), "ssh_key": ssh_key, **others}


def logs_of(cluster_id: str) -> Path:
    """The folder of a cluster's task logs."""
    return load_settings().state_dir / "logs" / cluster_id


def known_hosts_of(cluster_id: str) -> Path:
    """The file in which a cluster's host keys are pinned for OpenSSH; it need not exist."""
    return load_settings().state_dir / "ssh" / f"{cluster_id}.known_hosts"


def _made_with(store: Store, cluster: ClusterRecord) -> dict[str, Any]:
    jobs = store.jobs(cluster.id)
    return dict(jobs[0].parameters) if jobs else {}
