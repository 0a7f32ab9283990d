"""The verbs that pages, API, command line and jobs share: one noun a file, plain functions.

Every function takes a `Studio` first and opens its own short transactions. Nothing slow (hashing,
picture work, the network) happens inside a transaction.
"""
