"""Prefect blocks: the settings and secrets of providers, the keys to log in to nodes, and whom to call back.

``prefect block register -m blocks`` publishes them; a server on a machine where coopr is installed does so by itself
(entry point ``prefect.collections``). Importing this imports Prefect.
"""

from __future__ import annotations

from blocks.http_callback import HttpCallback
from blocks.provider_settings import LocalProviderSettings
from blocks.ssh_key import SshKey

__all__ = ["HttpCallback", "LocalProviderSettings", "SshKey"]
