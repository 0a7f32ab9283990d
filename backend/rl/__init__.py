"""The one loop, and the mathematics every method shares: kernels, trees, credit, objectives."""
