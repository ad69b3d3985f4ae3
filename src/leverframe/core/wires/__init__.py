"""The wire formats of model vendors, read and written without any I/O.

What passes, passes as the bytes that came; what is not known is refused by name.
"""

from leverframe.core.wires.calls import read_call, watch_call
from leverframe.core.wires.estimates import estimated_usage
from leverframe.core.wires.headers import passed_headers, returned_headers
from leverframe.core.wires.problems import error_body, error_frame
from leverframe.core.wires.shaping import upstream_body
from leverframe.core.wires.usage import UsageReader

__all__ = [
    "UsageReader",
    "error_body",
    "error_frame",
    "estimated_usage",
    "passed_headers",
    "read_call",
    "returned_headers",
    "upstream_body",
    "watch_call",
]
