"""What the scripts of the builtin services share on a node; Python's standard library alone, 3.9 or newer.

``task`` knows the task's config and folders, ``packages`` installs from the package index, ``network`` knows addresses
and ports, ``daemon`` starts and stops processes, ``account`` gives up root where commands run as root.
"""
