"""The receivers of tool calls: Python functions of the project, and MCP servers.  Imported by `wiring` only."""
