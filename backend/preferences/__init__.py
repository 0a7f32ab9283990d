"""Preferences: annotators that are simulated, intervals for what people said, formats in and out."""
