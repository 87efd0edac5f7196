"""How a record is shown: one renderer a file."""
