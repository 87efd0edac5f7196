"""Observing: what PyTorch does, turned at once into plain events. Torch lives here."""
