"""Policy as Cedar text and back: the rules of a contract for any Cedar engine, and the rules of a Cedar file for us.

Pure: text is parsed by an adapter (`leverframe.config.cedar_file`).  Property: `tests/property/test_cedar_equal.py`.
"""

from leverframe.core.cedar.export import CedarExport, ToolLayout, export_policy
from leverframe.core.cedar.policies import ImportedPolicy, import_policies
from leverframe.core.cedar.request import CedarRequest, request_of

__all__ = [
    "CedarExport",
    "CedarRequest",
    "ImportedPolicy",
    "ToolLayout",
    "export_policy",
    "import_policies",
    "request_of",
]
