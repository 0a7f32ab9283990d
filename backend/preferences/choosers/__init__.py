"""Policies that say which pair to ask about next, one a file: the file's name is their key.

Each has NAME, TITLE, SUMMARY, NEEDS (what of `choosing.Known` it looks at) and

    utility(known) -> (N,)      one value an open pair, higher first; any scale

which is recomputed after every few labels. A policy knows nothing of stores and models.
"""
