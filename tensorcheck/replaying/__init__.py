"""Repeating what a capsule holds."""
