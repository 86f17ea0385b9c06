"""What each operation is: what is found out before a cluster is touched, what would be done to it, how it ends.

A module per command (``start``, ``scale``, ``delete``, ...) has its ``Declaration``; ``registry`` has all of them.
What they share: ``current`` is the cluster as they find it, ``difference`` what a change reaches, ``soundness`` what
would keep it from running, ``change`` and ``job`` what is prepared, ``confirmation`` what a person was shown of that.
"""
