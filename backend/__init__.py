"""What the studio knows: the rollout tree, credit, rewards, methods and the verbs of the studio.

No web framework and no queue in here; only `backend.services` may touch the store.
"""
