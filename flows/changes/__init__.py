"""Operations that change a running cluster: its services, config, template and size.

Each has a preparation that never imports Prefect (what would be done, or why not) and a flow that does it.
"""
