"""The vault in production: Prefect's blocks, which the server keeps encrypted.

Importing this does not import Prefect; asking the vault does, and needs a server that this process is configured for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coopr_core.errors import InvalidInput, NotFound, Problem
from coopr_core.vault import Vault


class PrefectVault:
    """Blocks of providers' settings and SSH keys by ``SLUG/NAME``; other secrets as Prefect's own Secret blocks."""

    def settings(self, block: str) -> Mapping[str, Any]:
        """Return the settings in a provider's block. Raises ``NotFound``, ``InvalidInput``."""
        settings: Mapping[str, Any] = load_block(block).settings()
        return settings

    def key_file(self, block: str) -> Path:
        """Return the file with the private key of an SSH key's block. Raises ``NotFound``, ``InvalidInput``."""
        return Path(load_block(block).key_path())

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
    """Return one of our blocks by ``SLUG/NAME``.

    Raises ``NotFound`` when Prefect does not have it (any more), ``InvalidInput`` when what it holds cannot be used.
    """
    from prefect.exceptions import ObjectNotFound
    from pydantic import ValidationError

    import blocks

    slug, _, name = block.partition("/")
    kinds = [getattr(blocks, known) for known in blocks.__all__]
    kind = next((kind for kind in kinds if kind.get_block_type_slug() == slug), None)
    if kind is None:
        raise NotFound(f"there is no block type {slug!r}", hint="`prefect block register -m blocks`")
    with _asking():
        try:
            return kind.load(name, _sync=True)
        except (ValueError, RuntimeError) as error:
            cause = error.__cause__
            if isinstance(cause, ObjectNotFound):
                raise NotFound(
                    f"Prefect has no block {block}", hint="save it again under this name; the cluster needs it"
                ) from error
            if isinstance(cause, ValidationError):
                flaws = cause.errors(include_input=False, include_url=False, include_context=False)
                raise InvalidInput(
                    f"what the block {block} holds cannot be used",
                    hint="correct it in Prefect",
                    problems=[Problem(flaw["msg"], path=".".join(map(str, flaw["loc"]))) for flaw in flaws],
                ) from None
            raise


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    """While Prefect's server is asked: that it does not answer is ``Unreachable``."""
    import httpx

    from flows.outage import server_gone
    from flows.server import server_replaced

    try:
        yield
    except httpx.HTTPStatusError as error:
        if error.response.status_code in (401, 403):
            raise server_replaced() from error
        raise server_gone(f"it answered {error.response.status_code}") from error
    except httpx.HTTPError as error:
        raise server_gone(str(error) or type(error).__name__) from error


def _secret() -> Any:
    """Return Prefect's Secret block, untyped: its calls take ``_sync``, which their signatures do not say."""
    from prefect.blocks.system import Secret

    return Secret
