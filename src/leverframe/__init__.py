"""Leverframe: a runtime for AI agents that write to production."""

__version__ = "0.1.0"
