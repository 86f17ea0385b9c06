"""What one task does on one node, attempt by attempt; who comes, goes and is given up while a job changes a cluster.

``job`` is the whole of a job's tasks while it runs.
"""
