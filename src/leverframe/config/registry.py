"""The shape of one entry of the registry of keys, and the texts that several keys share."""

from dataclasses import dataclass
from typing import Literal

from leverframe.config.value_types import Text, ValueType, describe

FileKind = Literal["project", "contract", "tool"]
Status = Literal["enforced", "not-in-this-version"]
Tier = Literal["first day", "first month", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: where it stands, what it takes, what it is for, and which code keeps its word.

    `path` is dotted; `[]` stands for an item of a list and `*` for a name that the user chooses:
    `policy.rules[].when`, `facts.*.tool`.
    """

    file: FileKind
    path: str
    value: ValueType
    doc: str
    example: str
    default: str = ""
    unit: str = ""
    status: Status = "enforced"
    enforced_by: str = ""
    tier: Tier = "all"

    @property
    def type(self) -> str:
        """What the key takes, in words."""
        return describe(self.value)

    @property
    def name(self) -> str:
        """The last part of the path: the key as it is written."""
        return self.path.rpartition(".")[2]

    @property
    def parent(self) -> str:
        """The path of the map that the key stands in; empty at the top of the file."""
        return self.path.rpartition(".")[0]


NAME = Text(
    form="a name of letters, digits, _ and -, starting with a letter",
    pattern=r"[A-Za-z][A-Za-z0-9_-]{0,63}",
    max_chars=64,
)
TOOL_NAME = Text(
    form="a tool's name: letters, digits, _ . and -, starting with a letter",
    pattern=r"[A-Za-z][A-Za-z0-9_.-]{0,63}",
    max_chars=64,
)
PRINCIPAL = Text(
    form="a person's name, or os:NAME for an operating-system user",
    pattern=r"(?:(?:person|os):)?[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}",
    max_chars=80,
)
GROUP = Text(form="a group, written group:NAME", pattern=r"group:[A-Za-z][A-Za-z0-9_-]{0,63}", max_chars=80)
PROJECT_FILE = Text(
    form="a file of the project, such as prompts/refund.md", pattern=r"[^/\\\x00].{0,254}", max_chars=255
)
PYTHON_FUNCTION = Text(
    form="a function of the project, written FILE.py:FUNCTION",
    pattern=r"[^/\\\x00:][^:\x00]{0,250}\.py:[A-Za-z_][A-Za-z0-9_]*",
    max_chars=300,
)
# Those that `identity.secrets` asks (tests/unit/test_config_secret_values.py).
SECRET_SOURCES = ("env", "file", "keyring", "vault", "aws", "aws-kms")
SECRET = Text(
    form="a reference such as secret://env/OPENAI_API_KEY, never the secret itself",
    pattern=rf"secret://(?:{'|'.join(SECRET_SOURCES)})(?:/(?:[A-Za-z0-9_./-]|\{{tenant\}})+)+(?:#[A-Za-z0-9_.-]+)?",
    max_chars=300,
    may_be_secret=True,
)
INPUT_FIELD = Text(
    form="a field of the input, such as input.customer_id",
    pattern=r"input(?:\.[A-Za-z_][A-Za-z0-9_-]*)+",
    max_chars=200,
)
TOP_INPUT_FIELD = Text(
    form="a field of the input, such as input.message", pattern=r"input\.[A-Za-z_][A-Za-z0-9_-]*", max_chars=200
)
CONDITION = Text(form="a condition, such as args.amount_usd > facts.order.refundable_usd", max_chars=4096)
_PATH_PART = r"(?:\.[A-Za-z0-9_-]+)"
CALL_PATH = Text(
    form="a path such as args.order_id, facts.order.user_id or run.subject",
    pattern=rf"(?:args|facts|input|run){_PATH_PART}+",
    max_chars=200,
)
ARGUMENT_PATH = Text(
    form="a path into the arguments of the write, such as args.order_id", pattern=rf"args{_PATH_PART}+", max_chars=200
)
SENTENCE = Text(form="a text", max_chars=2000)
