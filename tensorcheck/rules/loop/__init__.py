"""Loops that do the right things in the wrong order or mode: TCK5xx."""
