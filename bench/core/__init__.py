"""The core: decisions, the writer, the log, and the first seconds of a process."""
