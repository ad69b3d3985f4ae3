"""The store on SQLite (WAL, synchronous=FULL): the embedded default."""
