"""JSON Schemas in files of the project, such as `schemas/triage.json`."""

from leverframe.config.findings import Mark
from leverframe.config.json_schema_rules import SCHEMA_HELP, schema_problem
from leverframe.config.surroundings import Surroundings
from leverframe.core import canonical
from leverframe.domain.errors import JsonInvalid
from leverframe.domain.json import JsonObject


def read_schema(path: str, at: Mark, around: Surroundings) -> JsonObject | None:
    """The schema in a file; None, with the reason in the findings, where there is none.

    Args:
        path: the file, by its name in the project.
        at: where it is named.
        around: the project's files.
    """
    content = around.files.read(path, at, around.findings)
    if content is None:
        return None
    try:
        schema = canonical.decode(content)
    except JsonInvalid as err:
        around.findings.error(Mark(path), "bad-json", err.message, err.next_move)
        return None
    if not isinstance(schema, dict):
        around.findings.error(Mark(path), "bad-schema", "The file is no JSON Schema: not an object.", SCHEMA_HELP)
        return None
    problem = schema_problem(schema)
    if problem is not None:
        place = "/".join(str(part) for part in problem[1])
        around.findings.error(
            Mark(path), "bad-schema", f"The file is no JSON Schema: {problem[0]} (at /{place}).", SCHEMA_HELP
        )
    return schema
