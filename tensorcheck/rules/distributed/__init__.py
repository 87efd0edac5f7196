"""Rules about training on several devices or machines: TCK9xx."""
