"""Preferences: simulated annotators, intervals for what people said, formats in and out."""
