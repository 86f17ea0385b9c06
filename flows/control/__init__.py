"""Pausing, resuming, retrying and aborting a cluster's last job, from any process.

``requests`` asks the store and never imports Prefect; ``resuming`` are the flows.
"""
