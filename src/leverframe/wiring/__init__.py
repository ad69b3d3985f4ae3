"""Builds concrete things from the project's files, once.  No logic.

The only place that knows adapters: store, models, tools, identity, signing.
"""
