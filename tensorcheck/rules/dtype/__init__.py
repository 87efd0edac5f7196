"""Wrong dtypes: TCK1xx."""
