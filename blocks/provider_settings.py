"""Providers' settings as blocks: one class per provider, filled in once in Prefect's UI, picked when a cluster is made.

A block holds what the catalog may not: secrets (as ``SecretStr``, encrypted by Prefect), and what differs from machine
to machine. Its values are laid over the catalog's ``provisioner`` settings of the provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, SecretStr, model_validator

from blocks.form import FormBlock
from coopr_core.providers import load_provider, settings_type

if TYPE_CHECKING:
    from coopr_core.providers.contract import Provider


class ProviderSettingsBlock(FormBlock):
    """What the blocks of all providers share; each names its plug-in and declares that plug-in's fields.

    The fields have the names of the plug-in's own settings; one left empty is not given.
    """

    _provider_type: ClassVar[str]

    def settings(self) -> dict[str, Any]:
        """The settings that are given, secrets in clear: for the plug-in, never for a log."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        revealed = {n: v.get_secret_value() if isinstance(v, SecretStr) else v for n, v in values.items()}
        return {name: value for name, value in revealed.items() if value not in (None, "")}

    def provider(self) -> Provider:
        """The provider plug-in with these settings."""
        return load_provider(self._provider_type, self.settings())

    @model_validator(mode="after")
    def _settings_are_accepted(self) -> ProviderSettingsBlock:
        from coopr_core.errors import InvalidInput

        try:
            settings_type(self._provider_type).checked(self.settings(), self._provider_type)
        except InvalidInput as error:
            raise ValueError(str(error)) from error
        return self


class LocalProviderSettings(ProviderSettingsBlock):
    """How nodes are made on this machine by the local provider; everything has a default that works.

    Attributes:
        address_range: The loopback network nodes take their addresses from.
        port: The port of the nodes' SSH servers.
        user: Whom the nodes' commands run as when started as root.

    Example:
        Save settings once, then create clusters with them:

        ```python
        from blocks import LocalProviderSettings

        LocalProviderSettings(address_range="127.5.0.0/20").save("my-nodes", overwrite=True)
        provider = LocalProviderSettings.load("my-nodes").provider()
        ```
    """

    _block_type_name = "Coopr Local Provider Settings"
    _block_type_slug = "coopr-local-provider-settings"
    _description = "How the nodes of clusters are made on the machine that runs the flow."
    _provider_type = "local"

    address_range: str = Field(
        default="",
        title="Addresses",
        description="The loopback network nodes take their addresses from, such as 127.5.0.0/20. "
        "Leave empty for a slice of 127.0.0.0/8 of the state folder's own.",
    )
    port: int | None = Field(
        default=None,
        title="SSH port",
        description="The port the nodes' SSH servers listen on. Leave empty for 2222, or the next free one.",
        ge=1,
        le=65535,
    )
    user: str = Field(
        default="",
        title="User",
        description="When started as root: the unprivileged user the nodes' commands run as. Leave empty for nobody.",
    )
