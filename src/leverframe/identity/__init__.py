"""Who acts, and the secrets and keys that belong to them.  Imported by `wiring` only."""
