"""Capsules: one failure as a file, which says what failed and holds what it takes to fail so again."""
