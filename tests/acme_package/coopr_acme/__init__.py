"""Machines and tools of Acme."""
