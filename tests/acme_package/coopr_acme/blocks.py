"""Acme's own blocks, which know nothing of Coopr."""

from prefect.blocks.core import Block
from pydantic import SecretStr


class AcmeTool(Block):
    """The key of Acme's tool."""

    _block_type_slug = "acme-tool"

    key: SecretStr


class AcmeAccount(Block):
    """An account with Acme's lab."""

    _block_type_slug = "acme-account"

    region: str = "lab"
    token: SecretStr
