"""Wrong devices: TCK3xx."""
