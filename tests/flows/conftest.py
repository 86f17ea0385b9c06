"""The real Prefect server, for the tests in this folder."""

from prefect_server import prefect_server

__all__ = ["prefect_server"]
