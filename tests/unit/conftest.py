"""What the unit tests of models and of the RL core share."""

from tests.tiny_families import checkpoints, tiny
from tests.tiny_sd3 import tiny_policy, tiny_sd3

__all__ = ["checkpoints", "tiny", "tiny_policy", "tiny_sd3"]
