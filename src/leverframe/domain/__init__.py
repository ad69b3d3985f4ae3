"""Types, ids, money, time and errors.  Imports nothing of ours and does no I/O."""
