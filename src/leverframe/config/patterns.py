"""Regular expressions of the project's files: RE2 only, whose time is linear in the text."""

import re2


def pattern_problem(pattern: str) -> str:
    """Why a pattern is not one of RE2; empty where it is."""
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as err:
        reason = err.args[0] if err.args else "it cannot be read"
        return reason.decode() if isinstance(reason, bytes) else str(reason)
    return ""
