"""Whether this installation can do its work: one verdict a part, each found by using the part, none by changing it.

``ok``; ``note`` for what keeps nothing from working; ``wrong`` for what does. Takes about a second, or ten when a
Prefect server does not answer.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coopr_core.errors import CooprError, InvalidInput
from coopr_core.model.facts import ProviderFacts
from coopr_core.providers.credentials import make_cloud
from coopr_core.settings import Settings, load_settings

if TYPE_CHECKING:
    from coopr_core.model.records import ClusterRecord
    from coopr_core.vault import Vault

LEAST_FREE = 1 << 30
"""Bytes that should be free where the state is: a builtin template's wheels and data need some hundred million."""

_VOLATILE = ("tmpfs", "ramfs")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about one part; ``state`` is ``ok``, ``note`` or ``wrong``, ``hint`` says what to do about it."""

    name: str
    state: str
    text: str
    hint: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as ``-o json`` prints it."""
        return asdict(self)


Check = tuple[str, Callable[[Settings], Iterator[Verdict]]]
"""What a part is called, and what looks at it."""


def check_all(server: Sequence[Check] = (), vault: Vault | None = None) -> Iterator[Verdict]:
    """Yield one verdict after the other; what needs settings is left out when they cannot be read.

    ``server`` are the checks of the Prefect server, which this package knows nothing of; without a ``vault`` providers
    whose settings are in blocks are not asked.
    """
    yield from _python()
    try:
        settings = load_settings()
    except CooprError as error:
        yield Verdict("settings", "wrong", str(error), error.hint)
        return
    checks: tuple[Check, ...] = (
        ("state folder", _state_folder),
        ("key", _key),
        ("database", _database),
        ("catalog", _catalog),
        *server,
        ("providers", partial(_providers, vault=vault)),
        ("local addresses", _addresses),
        ("OpenSSH client", _openssh),
        ("local nodes", _local_nodes),
    )
    for name, check in checks:
        try:
            yield from check(settings)
        except CooprError as error:
            yield Verdict(name, "wrong", error.message, error.hint)
        except OSError as error:
            yield Verdict(name, "wrong", f"{error.strerror or error}: {error.filename or settings.state_dir}")


def _python() -> Iterator[Verdict]:
    text = f"Python {sys.version.split()[0]} at {sys.executable}"
    try:
        versions = ", ".join(f"{name} {installed_version(name)}" for name in ("coopr-prefect", "prefect"))
    except PackageNotFoundError as error:
        hint = "install coopr again, into an environment of its own: pip install coopr-prefect"
        yield Verdict("Python", "wrong", f"{text} does not have the package {error.name}", hint)
        return
    yield Verdict("Python", "ok", f"{text}: {versions}")


def _state_folder(settings: Settings) -> Iterator[Verdict]:
    folder = settings.state_dir
    name = "state folder"
    if not folder.exists():
        above = next(parent for parent in folder.parents if parent.exists())
        if os.access(above, os.W_OK | os.X_OK):
            yield Verdict(name, "ok", f"{folder} is made when it is first needed")
        else:
            yield Verdict(name, "wrong", f"{folder} cannot be made in {above}", "name another one in COOPR_STATE_DIR")
        return
    status = folder.stat()
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Verdict(
            name, "wrong", f"{folder} cannot be written to", f"chown it to user {os.geteuid()}, or name another"
        )
    elif status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        yield Verdict(name, "wrong", f"{folder} can be written to by everybody", f"chmod o-w {folder}")
    elif (free := shutil.disk_usage(folder).free) < LEAST_FREE:
        yield Verdict(name, "note", f"{folder} has {free >> 20} MB left", "`coopr gc`, or free some space")
    elif (kind := _file_system(folder)) in _VOLATILE:
        hint = "name a folder on a disk in COOPR_STATE_DIR"
        yield Verdict(name, "note", f"{folder} is on a {kind}: clusters and nodes do not survive a reboot", hint)
    else:
        yield Verdict(name, "ok", f"{folder}, {free >> 30} GB free")


def _file_system(folder: Path) -> str:
    """Return the kind of file system a folder is on, empty when that is not known."""
    import psutil

    mounts = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    path = folder.resolve()
    return next((mounts[str(place)] for place in (path, *path.parents) if str(place) in mounts), "")


def _key(settings: Settings) -> Iterator[Verdict]:
    from coopr_core.remote.keys import load_key

    path = settings.state_dir / "ssh" / "id_ed25519"
    if not path.exists():
        yield Verdict("key", "ok", f"{path} is made when it is first needed")
        return
    key = load_key(path)
    if path.stat().st_mode & 0o077:
        yield Verdict("key", "wrong", f"{path} can be read by others", f"chmod 600 {path}")
    else:
        yield Verdict("key", "ok", f"{path}: {key.get_name()} {key.fingerprint}")


def _database(settings: Settings) -> Iterator[Verdict]:
    from coopr_core.store import Store

    url = settings.shown_database_url
    if not _is_made(url):
        yield Verdict("database", "ok", f"{url} is made when it is first needed")
        return
    with Store.open() as store:
        clusters = store.clusters(tenant=None)
        installation = store.installation
    yield Verdict("database", "ok", f"{url}: {len(clusters)} clusters, installation {installation}")


def _is_made(url: str) -> bool:
    """Tell whether the database is there already: looking into an SQLite file would make it."""
    return not url.startswith("sqlite:///") or Path(url.removeprefix("sqlite:///")).exists()


def _catalog(settings: Settings) -> Iterator[Verdict]:
    from coopr_core.catalog import Catalog
    from coopr_core.providers import provider_types
    from coopr_core.providers.registry import settings_type

    known = Catalog.load(settings.catalog)
    for name in provider_types():
        settings_type(name)
    text = f"{len(known.templates)} templates, {len(known.services)} services; providers: {', '.join(provider_types())}"
    if known.problems:
        yield Verdict("catalog", "note", f"{text}; {len(known.problems)} warnings", "see `coopr catalog validate`")
    else:
        yield Verdict("catalog", "ok", text)


def _providers(settings: Settings, vault: Vault | None) -> Iterator[Verdict]:
    """Ask every provider of the catalog, and every other that clusters have machines of, who we are there."""
    for name, facts in _known_providers(settings).items():
        if facts.credentials and vault is None:
            text = f"its settings are in the block {facts.credentials}, and no Prefect server runs"
            yield Verdict(name, "note", text, "`coopr server start`, then look again")
            continue
        try:
            account = make_cloud(facts, vault).check()
        except InvalidInput as error:
            text = f"it cannot be used as it is: {'; '.join(map(str, error.problems)) or error.message}"
            yield Verdict(name, "note", text, error.hint)
        except CooprError as error:
            yield Verdict(name, "wrong", error.message, error.hint or "see the provider's settings")
        else:
            text = "; ".join([account.who, *([f"may {', '.join(account.may)}"] if account.may else [])])
            if account.may_not:
                text = f"{text}; may not {', '.join(account.may_not)}"
            yield Verdict(name, "note" if account.may_not else "ok", text)


def _known_providers(settings: Settings) -> dict[str, ProviderFacts]:
    """Return the providers whose plug-in is installed, by what people call them."""
    from coopr_core.catalog import Catalog
    from coopr_core.providers import provider_types

    entities = Catalog.load(settings.catalog).providers.values()
    found = {f"provider {e.name}": ProviderFacts.of(e) for e in entities}
    with contextlib.suppress(CooprError):  # the database has a check of its own
        for cluster in _clusters(settings):
            for facts in cluster.facts.providers:
                if facts.credentials and facts.credentials not in {known.credentials for known in found.values()}:
                    found[f"provider {facts.name} ({facts.credentials})"] = facts
    installed = provider_types()
    return {name: facts for name, facts in found.items() if facts.type in installed}


def _clusters(settings: Settings) -> Sequence[ClusterRecord]:
    from coopr_core.store import Store

    url = settings.shown_database_url
    if not _is_made(url):
        return ()
    with Store.open() as store:
        return store.clusters(tenant=None)


def _addresses(settings: Settings) -> Iterator[Verdict]:
    from coopr_core.providers.local.addresses import SHARED_ADDRESS, Probe, own_slice, probe

    name = "local addresses"
    network = own_slice(settings.state_dir)
    first = str(network[1])
    match probe(first, 0):
        case Probe.FREE:
            yield Verdict(name, "ok", f"local nodes get addresses of their own in {network}")
        case Probe.ABSENT if probe(SHARED_ADDRESS, 0) is Probe.FREE:
            hint = f"for an address each: sudo ifconfig lo0 alias {first} up (macOS), and so on"
            yield Verdict(name, "note", f"local nodes share {SHARED_ADDRESS}, with a port each", hint)
        case found:
            text = f"nothing can listen on {first} or {SHARED_ADDRESS}: {found.value}"
            yield Verdict(name, "wrong", text, "local nodes need the loopback interface: see `ip addr show lo`")


def _openssh(settings: Settings) -> Iterator[Verdict]:
    program = shutil.which("ssh")
    if program:
        yield Verdict("OpenSSH client", "ok", program)
    else:
        text = "'ssh' is not installed: `coopr ssh` cannot log in; exec, scp and everything else work without"
        yield Verdict("OpenSSH client", "note", text, "Debian: apt install openssh-client")


def _local_nodes(settings: Settings) -> Iterator[Verdict]:
    """Whether the nodes on this machine are served; after a reboot they are not, until somebody needs them."""
    from coopr_core.model.names import handle
    from coopr_core.providers.local.addresses import Probe, probe
    from coopr_core.providers.local.records import NodeFolders

    records = NodeFolders(settings.state_dir).records()
    silent = [record for record in records if probe(record.address, record.port) is Probe.FREE]
    if not silent:
        yield Verdict("local nodes", "ok", f"{len(records)} on this machine" if records else "none on this machine")
        return
    names = sorted({record.cluster_name for record in silent})
    text = f"{len(silent)} of {len(records)} are not served (after a reboot, say): clusters {', '.join(names)}"
    hint = "; ".join(
        f"`coopr exec {name} true` brings them back, `coopr start {name}` their services"
        for name in sorted({handle(record.cluster_name, record.cluster_id) for record in silent})
    )
    yield Verdict("local nodes", "note", text, hint)
