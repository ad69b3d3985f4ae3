"""Measurements that we publish, with the machine and the commit beside them: `make bench` (never shipped)."""
