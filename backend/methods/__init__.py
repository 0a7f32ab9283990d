"""One training method a file: its Config, its tree plan, its credit, its objective.

A method file defines `TITLE`, `SOURCE`, `SUMMARY`, `Config`, `plan`, `credit` and `objective`
(`backend.rl.recipe.Method`); it appears in the forms, the API and the help by being here.
"""
