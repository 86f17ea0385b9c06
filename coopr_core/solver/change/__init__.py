"""Changes of a running cluster: services added, nodes added, leaving or made anew."""
