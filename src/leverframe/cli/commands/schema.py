"""`leverframe schema`: the JSON Schemas that let an editor complete what a person writes."""

import json
from argparse import Namespace

from leverframe.cli.parser import CommandParser
from leverframe.cli.screen import Screen
from leverframe.config.json_schemas import schema_for


def add(parser: CommandParser) -> None:
    """Take the name of a file."""
    parser.add_argument(
        "file",
        nargs="?",
        choices=("workflow", "project", "tool"),
        default="workflow",
        help="which of the three files (workflow)",
    )


def run(args: Namespace) -> int:
    """Print it, indented for a person, on one line with `--json`."""
    screen = Screen.of(args)
    schema = schema_for(args.file)
    if screen.is_json:
        screen.document(schema)
    else:
        screen.verbatim(json.dumps(schema, indent=2, ensure_ascii=False))
    return 0
