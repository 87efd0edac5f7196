"""What PyTorch wants and how it refuses, as pure functions on facts; what more than one rule needs."""
