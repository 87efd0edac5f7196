"""Wrong data: TCK7xx."""
