"""Benchmarks on the pocket world, in one process and without a studio: `palate bench ...`."""
