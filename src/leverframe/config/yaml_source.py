"""Text to a tree of YAML nodes, strictly: the YAML 1.2 core schema and nothing that surprises.

Only `true`, `false` and `null` are words with a meaning; `no`, `on`, `off` and `yes` are text.  Fractions are exact
decimals.  Duplicate keys, tags, several documents, not-a-number and infinity are errors.  Size, depth and the use of
aliases are bounded, so that no file can eat the machine.  Source: yaml.org/spec/1.2.2, section 10.3.
"""

import re
from dataclasses import dataclass, field
from decimal import Decimal

import yaml

from leverframe.config.findings import Findings, Mark
from leverframe.config.yaml_nodes import Entry, Items, Node, Scalar, Table

MAX_FILE_BYTES = 1_048_576
MAX_DEPTH = 32
MAX_ALIASES = 100
MAX_NODES = 100_000
MAX_NUMBER_CHARS = 40

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_BASED = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)\Z")
_FRACTION = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,2})?\Z")
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_BYTE_ORDER_MARK = "\ufeff"


def read_yaml(path: str, content: bytes, findings: Findings) -> Node | None:
    """Parse one document; None where it cannot be read as a tree at all, which is then in `findings`.

    Args:
        path: the name of the file in problems, relative to the project.
        content: its bytes: UTF-8, at most 1 MiB.
        findings: gains every problem met; a wrong scalar or a second key does not stop the reading.
    """
    text = _decode(path, content, findings)
    if text is None:
        return None
    builder = _Builder(path=path, text=text, findings=findings)
    try:
        for event in yaml.parse(text, Loader=yaml.CLoader):
            if not builder.take(event):
                return None
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        at = Mark(path, mark.line + 1, mark.column + 1) if mark else Mark(path)
        findings.error(at, "yaml-syntax", f"This is not YAML: {err.problem or err.context}.", _syntax_help(err.problem))
        return None
    except yaml.YAMLError as err:
        findings.error(Mark(path), "yaml-syntax", f"This is not YAML: {str(err).splitlines()[0]}.", _syntax_help(None))
        return None
    if builder.root is None:
        findings.error(Mark(path), "empty-file", "The file holds nothing.", "Write its keys, or delete it.")
    return builder.root


def _syntax_help(problem: str | None) -> str:
    if problem and "mapping values" in problem:
        return 'Quote a value that holds a colon: "a: b".'
    if problem and "cannot start any token" in problem:
        return "Indent with spaces, never tabs, and quote a value that starts with one of @ ` %."
    return (
        "Look at this line and at what it continues: close each [ { and quote, and indent what belongs together alike."
    )


def _decode(path: str, content: bytes, findings: Findings) -> str | None:
    if len(content) > MAX_FILE_BYTES:
        findings.error(
            Mark(path),
            "file-too-large",
            f"The file has {len(content):,} bytes and the limit is {MAX_FILE_BYTES:,}.",
            "Split it, or check that it is the file you meant.",
        )
        return None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as err:
        not_utf8(path, err, findings)
        return None
    text = text.removeprefix(_BYTE_ORDER_MARK)
    for index, char in enumerate(text):
        if (char < " " and char not in "\t\n\r") or char == "\x7f":
            line = text.count("\n", 0, index) + 1
            findings.error(
                Mark(path, line, index - (text.rfind("\n", 0, index) + 1) + 1),
                "binary-file",
                f"The file holds the control character U+{ord(char):04X}, so it is not a text file.",
                "Check that it is the file you meant.",
            )
            return None
    return text


def not_utf8(path: str, err: UnicodeDecodeError, findings: Findings) -> None:
    """Name the first byte of a file that is no text, and its place."""
    begun = err.object.rfind(b"\n", 0, err.start) + 1
    findings.error(
        Mark(path, err.object.count(b"\n", 0, err.start) + 1, err.start - begun + 1),
        "not-utf8",
        f"Byte 0x{err.object[err.start]:02x} is not UTF-8 text.",
        "Save the file as UTF-8.",
    )


@dataclass(slots=True)
class _Frame:
    """A list or map that is being read: its children so far."""

    at: Mark
    is_map: bool
    anchor: str | None
    items: list[Node] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    key: tuple[str, Mark] | None = None
    awaits_value: bool = False
    height: int = 1
    size: int = 1


@dataclass(slots=True)
class _Builder:
    """Events of one document to one tree, without recursion."""

    path: str
    text: str
    findings: Findings
    root: Node | None = None
    stack: list[_Frame] = field(default_factory=list)
    # anchor -> the finished node, its height and its size with all aliases followed
    anchors: dict[str, tuple[Node, int, int]] = field(default_factory=dict)
    aliases: int = 0
    documents: int = 0

    def take(self, event: yaml.Event) -> bool:
        """Add one event; False where reading must stop."""
        at = self._place_of(event)
        match event:
            case yaml.DocumentStartEvent():
                return self._start_document(event, at)
            case yaml.ScalarEvent():
                self._refuse_tag(event.tag, at)
                return self._add(self._scalar(event, at), at, event.anchor, height=1, size=1)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._refuse_tag(event.tag, at)
                is_map = isinstance(event, yaml.MappingStartEvent)
                self.stack.append(_Frame(at=at, is_map=is_map, anchor=event.anchor))
                return self._check_depth(len(self.stack), at)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                return self._close()
            case yaml.AliasEvent():
                return self._alias(event.anchor or "", at)
            case _:
                return True

    def _place_of(self, event: yaml.Event) -> Mark:
        mark = event.start_mark
        return Mark(self.path, mark.line + 1, mark.column + 1) if mark else Mark(self.path)

    def _start_document(self, event: yaml.DocumentStartEvent, at: Mark) -> bool:
        self.documents += 1
        if self.documents > 1:
            self.findings.error(
                at, "several-documents", "A second document starts here.", "Put it in a file of its own."
            )
            return False
        if event.tags or (event.version and tuple(event.version) != (1, 2)):
            self.findings.error(
                at,
                "yaml-directive",
                "Only the directive %YAML 1.2 is understood.",
                "Delete the line that starts with %.",
            )
        return True

    def _refuse_tag(self, tag: str | None, at: Mark) -> None:
        if tag is not None:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            self.findings.error(
                at, "yaml-tag", f"The tag {shown!r} is not understood here.", "Write the plain value; quote text."
            )

    def _check_depth(self, depth: int, at: Mark) -> bool:
        if depth > MAX_DEPTH:
            self.findings.error(at, "too-deep", f"This is nested deeper than {MAX_DEPTH} levels.", "Flatten it.")
            return False
        return True

    def _scalar(self, event: yaml.ScalarEvent, at: Mark) -> Scalar:
        begin, end = event.start_mark, event.end_mark
        source = self.text[begin.index : end.index] if begin and end else event.value
        value: bool | int | Decimal | str | None = event.value
        if event.implicit[0]:
            value = self._resolve(event.value, at)
        return Scalar(value=value, text=event.value, source=source, at=at)

    def _resolve(self, text: str, at: Mark) -> bool | int | Decimal | str | None:
        if text in _NULLS:
            return None
        if text in _TRUTHS:
            return _TRUTHS[text]
        if _NOT_FINITE.match(text):
            self.findings.error(at, "not-finite", f"{text!r} is no number that can be counted with.", "Write a number.")
            return None
        is_number = _INTEGER.match(text) or _BASED.match(text) or _FRACTION.match(text)
        if not is_number:
            return text
        if len(text) > MAX_NUMBER_CHARS:
            self.findings.error(
                at, "number-too-long", f"A number of {len(text)} characters is too long.", "Quote it if it is a text."
            )
            return None
        if _INTEGER.match(text):
            return int(text)
        return int(text, 0) if _BASED.match(text) else Decimal(text)

    def _alias(self, anchor: str, at: Mark) -> bool:
        self.aliases += 1
        if self.aliases > MAX_ALIASES:
            self.findings.error(
                at, "too-many-aliases", f"The file uses more than {MAX_ALIASES} aliases.", "Write it out."
            )
            return False
        if anchor not in self.anchors and all(frame.anchor != anchor for frame in self.stack):
            self.findings.error(
                at,
                "alias-unknown",
                f"No anchor {'&' + anchor!r} stands before this alias.",
                "Quote it if it is a text.",
            )
            return False
        if anchor not in self.anchors:
            self.findings.error(
                at, "alias-unfinished", f"The alias {'*' + anchor!r} stands within its own anchor.", "Write it out."
            )
            return False
        node, height, size = self.anchors[anchor]
        return self._add(node, at, None, height=height, size=size)

    def _close(self) -> bool:
        frame = self.stack.pop()
        node: Node
        if frame.is_map:
            node = Table(entries=tuple(frame.entries.values()), at=frame.at)
        else:
            node = Items(items=tuple(frame.items), at=frame.at)
        return self._add(node, frame.at, frame.anchor, height=frame.height, size=frame.size)

    def _add(self, node: Node, at: Mark, anchor: str | None, *, height: int, size: int) -> bool:
        if anchor is not None:
            self.anchors[anchor] = (node, height, size)
        if not self.stack:
            self.root = node
            return True
        frame = self.stack[-1]
        frame.height = max(frame.height, height + 1)
        frame.size += size
        if frame.size > MAX_NODES:
            self.findings.error(
                at, "too-many-nodes", f"With its aliases written out it has over {MAX_NODES:,} nodes.", "Split it."
            )
            return False
        self._place(frame, node, at)
        return self._check_depth(len(self.stack) + height, at)

    def _place(self, frame: _Frame, node: Node, at: Mark) -> None:
        if not frame.is_map:
            frame.items.append(node)
        elif not frame.awaits_value:
            frame.key = self._key(node, at)
            frame.awaits_value = True
        else:
            frame.awaits_value = False
            if frame.key is not None:
                self._set(frame, frame.key, node)

    def _key(self, node: Node, at: Mark) -> tuple[str, Mark] | None:
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return node.value, at
        shown = repr(node.text) if isinstance(node, Scalar) else "a list or a map"
        self.findings.error(at, "key-not-text", f"A key is text, and this is {shown}.", "Quote it.")
        return None

    def _set(self, frame: _Frame, key: tuple[str, Mark], node: Node) -> None:
        name, at = key
        if name in frame.entries:
            first = frame.entries[name].key_at
            self.findings.error(
                at,
                "duplicate-key",
                f"The key {name!r} stands here again; it was set at {first.line}:{first.column}.",
                "Keep one of them.",
            )
            return
        frame.entries[name] = Entry(key=name, key_at=at, value=node)
