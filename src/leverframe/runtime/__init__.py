"""The door, runs, approvals and explanations: loads, decides, records, acts.

Ids and timestamps are made here only.  Adapters reach this layer as ports; nothing here knows SQL, HTTP or MCP.
"""
