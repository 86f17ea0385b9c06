"""The commands that look after clusters and the installation: ``drift``, ``gc`` and ``doctor``."""
