"""What a contract file says, as plain values, for a draft that is to say the same and more.

Never: reads it as a contract; that is done once, when the project is loaded.
"""

from leverframe.config.findings import Findings
from leverframe.config.yaml_nodes import to_json
from leverframe.config.yaml_source import read_yaml
from leverframe.domain.json import JsonObject


def written_keys(path: str, content: bytes) -> JsonObject:
    """The keys of a file that was found to be a contract, in its order."""
    node = read_yaml(path, content, Findings())
    value = None if node is None else to_json(node)
    return value if isinstance(value, dict) else {}
