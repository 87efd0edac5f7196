"""Wrong shapes: TCK2xx."""
