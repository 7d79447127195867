"""Training: episodes into gradient steps."""
