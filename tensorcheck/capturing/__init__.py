"""Writing a failure down as a capsule, while its frames still stand."""
