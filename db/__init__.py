"""The store: tables, sessions, named reads and migrations. Imports SQLAlchemy alone."""
