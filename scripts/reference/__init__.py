"""Writes docs/reference/*.md from the registries in the code, so that no page can say something else than it does.

`make docs` writes the pages, and a page under docs/problems for each new slug. tests/meta fails while one is stale.
"""
