"""The Prefect server that flows are published to: see ``flows.server``, which this module makes public.

``ensure_server`` finds or starts it, ``server_status`` and ``stop_server`` look after it, ``configure_prefect`` points
this process at it. Importing this costs nothing: Prefect is not imported.
"""

from __future__ import annotations

from flows.server import ServerInfo, ServerUnreachable, configure_prefect, ensure_server, server_status, stop_server

__all__ = ["ServerInfo", "ServerUnreachable", "configure_prefect", "ensure_server", "server_status", "stop_server"]
