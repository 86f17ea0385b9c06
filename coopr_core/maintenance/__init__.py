"""What keeps clusters as they should be: leases, drift, leftovers."""
