"""JSON Schemas that users write: found to be schemas, self-contained, and with the place of what is not.

Never: fetches a reference; a schema of the project reads nothing but itself.
"""

from collections.abc import Sequence

import jsonschema_rs

from leverframe.config.findings import Findings, Mark
from leverframe.config.yaml_nodes import Items, Node, Table
from leverframe.domain.json import JsonObject

SCHEMA_HELP = "Write a JSON Schema of draft 2020-12, such as {type: object, required: [message]}."


def checked_schema(schema: JsonObject, node: Node, path: str, findings: Findings) -> bool:
    """Whether `schema` is a usable JSON Schema (2020-12); the reasons why not go to `findings`."""
    if not local_references(node, path, findings):
        return False
    problem = schema_problem(schema)
    if problem is None:
        return True
    message, pointer = problem
    findings.error(_place(node, pointer), "bad-schema", f"The key {path!r} is no JSON Schema: {message}.", SCHEMA_HELP)
    return False


def schema_problem(schema: JsonObject) -> tuple[str, tuple[str | int, ...]] | None:
    """What keeps it from being a JSON Schema, with the path to it; None where it is one."""
    try:
        # RegexOptions: the engine without backtracking, so that no pattern of a schema can stall a decision.
        jsonschema_rs.validator_for(dict(schema), offline=True, pattern_options=jsonschema_rs.RegexOptions())
    except jsonschema_rs.ValidationError as err:
        return err.message, tuple(err.instance_path)
    except (jsonschema_rs.ReferencingError, ValueError) as err:
        return str(err).splitlines()[0].rstrip("."), ()
    return None


def local_references(node: Node, path: str, findings: Findings) -> bool:
    """Whether every `$ref` stays within the schema; a network address in a file of the project is refused."""
    is_local = True
    waiting: list[Node] = [node]
    while waiting:
        match waiting.pop():
            case Table(entries=entries):
                for entry in entries:
                    text = getattr(entry.value, "value", None)
                    if entry.key in {"$ref", "$dynamicRef"} and isinstance(text, str) and not text.startswith("#"):
                        is_local = False
                        findings.error(
                            entry.key_at,
                            "outside-reference",
                            f"The schema of {path!r} refers to {text!r}, which is not within it.",
                            "Copy what it refers to under $defs and write #/$defs/NAME.",
                        )
                    waiting.append(entry.value)
            case Items(items=items):
                waiting.extend(items)
            case _:
                pass
    return is_local


def _place(node: Node, pointer: Sequence[str | int]) -> Mark:
    """The place of the value that a path of keys and indices leads to, as far as it leads."""
    place = node.at
    for part in pointer:
        match node:
            case Table(entries=entries):
                found = next((entry for entry in entries if entry.key == part), None)
                if found is None:
                    return place
                node, place = found.value, found.key_at
            case Items(items=items) if isinstance(part, int) and part < len(items):
                node = items[part]
                place = node.at
            case _:
                return place
    return place
