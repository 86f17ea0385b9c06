"""What people write, read exactly: YAML and JSON as trees of values that know their lines; what is wrong in them."""
