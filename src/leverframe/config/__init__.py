"""The files a user writes, parsed strictly into domain values; every error has its file, line and column."""
