"""Agents of other frameworks that are governed by environment variables alone."""
