"""What the talk with our own Prefect server rests on: which process it is, its password, and no proxy in between."""
