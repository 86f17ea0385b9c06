"""How the flows are published to Prefect: the server they run on, and their deployments to a work pool."""
