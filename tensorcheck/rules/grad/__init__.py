"""Gradients that do not flow where their owner thinks: TCK4xx."""
