"""Clusters as plain values: requests, layouts, ids, host names, leases, config, states and records.

Import from the modules: ``coopr_core.model.layout``, ``.request``, ``.ids``, ``.names``, ``.leases``, ``.config``.
"""
