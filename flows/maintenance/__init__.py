"""The flows that look after clusters nobody is working on: drift, leftovers, leases."""
