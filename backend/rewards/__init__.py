"""Rewards: a scorer a file, their contract (`interface`), how several become one (`compose`)."""
