"""The fixtures of the local provider's tests."""

from local_lab import key, lab, machine, machine_cache, openssh, shared_lab

__all__ = ["key", "lab", "machine", "machine_cache", "openssh", "shared_lab"]
