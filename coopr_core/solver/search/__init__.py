"""The search itself, on numbers: blocks of services, counts and types; nothing here knows templates or requests."""
