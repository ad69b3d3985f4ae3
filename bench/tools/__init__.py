"""The tool gateway beside its upstream alone and, in the same run, another MCP proxy."""
