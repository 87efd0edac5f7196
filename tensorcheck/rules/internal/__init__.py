"""Faults of tensorcheck itself: TCK0xx."""
