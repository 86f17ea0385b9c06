"""The `coopr` command: parses, asks, prints; it decides nothing."""
