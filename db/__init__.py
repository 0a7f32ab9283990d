"""The store: tables, sessions, named reads and migrations. Imports SQLAlchemy alone."""

from db.session import Store, StoreProblem
from db.upgrade import migrate, pending

__all__ = ["Store", "StoreProblem", "migrate", "pending"]
