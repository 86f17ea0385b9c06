"""Where secrets are kept: the settings of providers, the keys that open nodes, the keys that passwords are made from.

Promise: whoever needs a secret is handed a vault and asks it then; the store, parameters and logs hold names alone. In
production the vault is Prefect's blocks (``flows.vault``); whatever has these methods will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Vault(Protocol):
    """Keeps secrets under names.

    Every method raises ``Unreachable`` when the vault does not answer, never with a secret in the message. A block is
    named ``SLUG/NAME``: the slug of its type and its own name.
    """

    def settings(self, block: str) -> Mapping[str, Any]:
        """Return the settings in a provider's block, secrets in clear. Raises ``NotFound``, ``InvalidInput``."""
        ...

    def key_file(self, block: str) -> Path:
        """Return a file with the private key of an SSH key's block that only its owner may read.

        Raises ``NotFound``, ``InvalidInput``.
        """
        ...

    def credentials(self, name: str, provider: str) -> str:
        """Return ``SLUG/NAME`` of the block with settings for a provider of that type; ``name`` may lack the slug.

        Raises ``NotFound`` with the nearest names, ``InvalidInput`` for a block of something else.
        """
        ...

    def ssh_key(self, name: str) -> str:
        """Return ``SLUG/NAME`` of the block with an SSH key; ``name`` may lack the slug. Raises the same."""
        ...

    def secret(self, name: str) -> str | None:
        """Return the secret kept under a name; None when there is none."""
        ...

    def keep(self, name: str, value: str) -> None:
        """Keep a secret under a name that has none yet."""
        ...

    def forget(self, name: str) -> None:
        """Delete the secret of a name, if it has one."""
        ...

    def names(self) -> list[str]:
        """Return every name that a secret is kept under, others' too."""
        ...
