"""The schema's history, read top to bottom. It only grows: a revision that was released never
changes."""
