"""The vault in production: Prefect's blocks, which the server keeps encrypted.

Importing this does not import Prefect; asking the vault does, and needs a server that this process is configured for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from coopr_core.errors import InvalidInput, NotFound, Problem
from coopr_core.suggestions import did_you_mean
from coopr_core.vault import Vault


class PrefectVault:
    """Blocks of providers' settings and SSH keys by ``SLUG/NAME``; other secrets as Prefect's own Secret blocks."""

    def settings(self, block: str) -> Mapping[str, Any]:
        """Return the settings in a provider's block. Raises ``NotFound``, ``InvalidInput``."""
        from blocks.credentials import given_settings

        found = load_block(block)
        own = getattr(found, "settings", None)
        settings: Mapping[str, Any] = own() if callable(own) else given_settings(found)
        return settings

    def key_file(self, block: str) -> Path:
        """Return the file with the private key of an SSH key's block. Raises ``NotFound``, ``InvalidInput``."""
        return Path(load_block(block).key_path())

    def credentials(self, name: str, provider: str) -> str:
        """Return the whole name of the block with settings for a provider. Raises ``NotFound``, ``InvalidInput``."""
        from blocks.registry import credentials_type

        kind = credentials_type(provider)
        slugs = [] if kind is None else [kind.get_block_type_slug()]
        return _named(name, slugs, f"the settings of a provider of type {provider}")

    def ssh_key(self, name: str) -> str:
        """Return the whole name of the block with an SSH key. Raises ``NotFound``, ``InvalidInput``."""
        from blocks.registry import key_types

        return _named(name, [kind.get_block_type_slug() for kind in key_types()], "an SSH key")

    def secret(self, name: str) -> str | None:
        """Return the value of the Secret block called ``name``; None when there is none."""
        from prefect.exceptions import ObjectNotFound

        with _asking():
            try:
                return str(_secret().load(name, _sync=True).get())
            except ValueError as error:
                if isinstance(error.__cause__, ObjectNotFound):
                    return None
                raise

    def keep(self, name: str, value: str) -> None:
        """Save a new Secret block."""
        with _asking():
            _secret()(value=value).save(name, _sync=True)

    def forget(self, name: str) -> None:
        """Delete the Secret block called ``name``, if there is one."""
        if self.secret(name) is not None:
            with _asking():
                _secret().delete(name, _sync=True)

    def names(self) -> list[str]:
        """Return the names of all Secret blocks."""
        from prefect.client.orchestration import get_client

        with _asking(), get_client(sync_client=True) as client:
            blocks = client.read_block_documents_by_type("secret", include_secrets=False)
        return [block.name for block in blocks if block.name]


VAULT: Vault = PrefectVault()
"""The vault of whoever runs on Prefect; it holds nothing itself."""


def load_block(block: str) -> Any:
    """Return a block by ``SLUG/NAME``, of whichever package.

    Raises ``NotFound`` when Prefect does not have it (any more), ``InvalidInput`` when what it holds cannot be used.
    """
    from prefect.exceptions import ObjectNotFound
    from pydantic import ValidationError

    slug, _, name = block.partition("/")
    with _asking():
        try:
            return _block_type(slug).load(name, _sync=True)
        except (ValueError, RuntimeError) as error:
            cause = error.__cause__
            if isinstance(cause, ObjectNotFound):
                raise _no_block(
                    block, _blocks([slug]), "save it again under this name; the cluster needs it"
                ) from error
            if isinstance(cause, ValidationError):
                flaws = cause.errors(include_input=False, include_url=False, include_context=False)
                raise InvalidInput(
                    f"what the block {block} holds cannot be used",
                    hint="correct it in Prefect",
                    problems=[Problem(flaw["msg"], path=".".join(map(str, flaw["loc"]))) for flaw in flaws],
                ) from None
            raise


def _block_type(slug: str) -> Any:
    """Return the class of a block type, untyped: its calls take ``_sync``, which their signatures do not say."""
    from blocks.registry import block_types

    known = block_types()
    if slug not in known:
        raise NotFound(
            f"there is no block type {slug!r}",
            hint=did_you_mean(slug, known, "is the package that brings it installed here? `coopr deploy` registers it"),
        )
    return known[slug]


def _named(name: str, slugs: Sequence[str], what: str) -> str:
    """Return the one block of these types that is called so, whole or without its type's slug.

    Raises ``NotFound`` with the nearest ones, ``InvalidInput`` for one of another type and for several.
    """
    slug, slash, own = name.rpartition("/")
    if slash and slug not in slugs:
        _block_type(slug)
        raise InvalidInput(
            f"the block {name} does not hold {what}", hint=f"it takes one of type {' or '.join(slugs) or 'none'}"
        )
    known = _blocks(slugs)
    found = [block for block in known if block == name or (not slash and block.partition("/")[2] == own)]
    if len(found) > 1:
        raise InvalidInput(f"there are several blocks {name}: {', '.join(found)}", hint="name one of them in full")
    if not found:
        raise _no_block(name, known, "make one in Prefect (Blocks), or save() it in Python")
    return found[0]


def _blocks(slugs: Sequence[str]) -> list[str]:
    """Return every saved block of these types."""
    import httpx
    from prefect.client.orchestration import get_client

    found: list[str] = []
    with _asking(), get_client(sync_client=True) as client:
        for slug in slugs:
            try:
                documents = client.read_block_documents_by_type(slug, include_secrets=False)
            except httpx.HTTPStatusError as error:
                if error.response.status_code == httpx.codes.NOT_FOUND:
                    continue  # a type that nobody has registered yet
                raise
            found += [f"{slug}/{document.name}" for document in documents if document.name]
    return found


def _no_block(name: str, known: Sequence[str], otherwise: str) -> NotFound:
    """Return the error that there is no such block: with the nearest of those ``known``, else with another hint."""
    short = [block.partition("/")[2] for block in known]
    hint = did_you_mean(name, known if "/" in name else short)
    return NotFound(f"Prefect has no block {name}", hint=hint or otherwise)


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    """While Prefect's server is asked: that it does not answer is ``Unreachable``."""
    import httpx

    from flows.outage import lost, server_gone
    from flows.server import server_replaced

    try:
        yield
    except httpx.HTTPStatusError as error:
        if error.response.status_code in (401, 403):
            raise server_replaced() from error
        raise server_gone(f"it answered {error.response.status_code}") from error
    except httpx.HTTPError as error:
        raise lost(error) from error


def _secret() -> Any:
    """Return Prefect's Secret block, untyped: its calls take ``_sync``, which their signatures do not say."""
    from prefect.blocks.system import Secret

    return Secret
