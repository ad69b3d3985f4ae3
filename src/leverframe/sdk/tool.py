"""What a Python tool says of itself."""


class ToolRefused(Exception):
    """Raised by a tool that refused, and so had no effect: the agent is told the message, and may mend its call.

    Any other exception of a write means that its effect is unknown.
    """
