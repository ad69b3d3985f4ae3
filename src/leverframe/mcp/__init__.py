"""The surface that agents speak MCP to: bytes to calls, outcomes to bytes; it decides nothing."""
