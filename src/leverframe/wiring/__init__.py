"""Builds concrete things from the project's files, once.  No logic.

The only place that knows adapters: store, models, tools, identity, signing.
"""

from leverframe.wiring.assembly import Assembly, open_assembly

__all__ = ["Assembly", "open_assembly"]
