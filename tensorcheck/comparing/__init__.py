"""Two recorded runs, matched operation by operation: pure functions of what was written down, without torch."""
