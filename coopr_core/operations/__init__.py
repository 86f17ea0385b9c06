"""What each operation is: what is found out before a cluster is touched, and what would be done to it."""
