"""The process that serves: one port for agents of any framework."""
