"""What the project's own Python files import.  Stands alone: it knows nothing of the runtime."""
