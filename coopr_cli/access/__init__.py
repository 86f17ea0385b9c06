"""The commands that reach the nodes of a cluster: ``ssh``, ``exec``, ``scp``, and the exports for other tools."""
