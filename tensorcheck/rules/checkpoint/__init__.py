"""Wrong checkpoints: TCK8xx."""
