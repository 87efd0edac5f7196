"""What happened, in the past tense: the plain facts that probes emit and rules judge."""
