"""A vault that forgets everything at the end of the test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coopr_core.errors import NotFound, Unreachable


class MemoryVault:
    """Keeps secrets in a map; ``blocks`` are settings by ``SLUG/NAME``, ``keys`` files with private keys."""

    def __init__(
        self, blocks: Mapping[str, Mapping[str, Any]] | None = None, keys: Mapping[str, Path] | None = None
    ) -> None:
        self.blocks = dict(blocks or {})
        self.keys = dict(keys or {})
        self.secrets: dict[str, str] = {}
        self.reachable = True

    def settings(self, block: str) -> Mapping[str, Any]:
        self._ask(block, self.blocks)
        return self.blocks[block]

    def key_file(self, block: str) -> Path:
        self._ask(block, self.keys)
        return self.keys[block]

    def credentials(self, name: str, provider: str) -> str:
        return self._whole(name, self.blocks)

    def ssh_key(self, name: str) -> str:
        return self._whole(name, self.keys)

    def secret(self, name: str) -> str | None:
        self._ask("", {"": None})
        return self.secrets.get(name)

    def keep(self, name: str, value: str) -> None:
        self.secrets[name] = value

    def forget(self, name: str) -> None:
        self.secrets.pop(name, None)

    def names(self) -> list[str]:
        self._ask("", {"": None})
        return list(self.secrets)

    def _whole(self, name: str, known: Mapping[str, Any]) -> str:
        found = [each for each in known if name in (each, each.partition("/")[2])]
        self._ask(found[0] if found else name, known)
        return found[0]

    def _ask(self, name: str, known: Mapping[str, Any]) -> None:
        if not self.reachable:
            raise Unreachable("the vault does not answer")
        if name not in known:
            raise NotFound(f"the vault has no {name}")
