"""One module a command.  `add(parser)` gives it its arguments, `run(args)` does it and returns the exit code.

A module is imported when its command is typed, so it may import what it needs at its top (`cli.registry`).
"""
