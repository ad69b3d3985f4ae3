"""`steps` of a chain: parse, model, check and tool, in order, each with a name for the steps after it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from leverframe.config.contract_facts import check_arguments
from leverframe.config.findings import Mark, did_you_mean
from leverframe.config.patterns import pattern_problem
from leverframe.config.project_files import python_origin
from leverframe.config.schema_files import read_schema
from leverframe.config.sections import Section
from leverframe.config.surroundings import Surroundings
from leverframe.config.yaml_nodes import Scalar
from leverframe.domain.contracts import ChainStep, CheckStep, ModelStep, ParseStep, ToolStep
from leverframe.domain.ids import ToolName
from leverframe.domain.json import JsonObject

_KINDS = ("parse", "model", "check", "tool")


@dataclass(slots=True)
class StepReader:
    """Reads the steps of one chain, in order."""

    around: Surroundings
    steps: list[ChainStep] = field(default_factory=list)
    names: dict[str, Mark] = field(default_factory=dict)
    files: dict[str, None] = field(default_factory=dict)
    tools: dict[ToolName, Mark] = field(default_factory=dict)

    def read(self, section: Section) -> None:
        """Read one item of `steps`."""
        kinds = [kind for kind in _KINDS if kind in section]
        if len(kinds) != 1:
            self.around.findings.error(
                section.at,
                "bad-step",
                f"A step is one of {', '.join(_KINDS)}, and this one has {' and '.join(kinds) or 'none of them'}.",
                "Write one item a step.",
            )
            return
        kind = kinds[0]
        step = {"parse": self._parse, "model": self._model, "check": self._check, "tool": self._tool}[kind](
            section.section(kind), section.place(kind)
        )
        if step is None:
            return
        self._name(step.name, section.place(kind))
        self.steps.append(step)

    def _name(self, name: str, at: Mark) -> None:
        if name in self.names:
            self.around.findings.error(
                at,
                "duplicate-step",
                f"The name {name!r} already stands for the step at line {self.names[name].line}.",
                "Give it another name with `as`.",
            )
        elif name == "input":
            self.around.findings.error(at, "duplicate-step", "The name 'input' is the run's input.", "Choose another.")
        self.names[name] = at

    def _parse(self, section: Section, at: Mark) -> ParseStep | None:
        regex = section.scalar("regex")
        if regex is None or "in" not in section or "as" not in section:
            return None
        problem = pattern_problem(regex.text)
        if problem:
            self.around.findings.error(
                regex.at,
                "bad-pattern",
                f"{regex.text!r} is not a linear-time (RE2) pattern: {problem}.",
                "Look-around and back-references are not in it.",
            )
        self._known(_one(section.scalar("in")))
        return ParseStep(name=section.text("as"), regex=regex.text, in_=section.text("in"), source=at.ref)

    def _model(self, section: Section, at: Mark) -> ModelStep | None:
        if "prompt" not in section or "as" not in section:
            return None
        path = section.text("prompt")
        prompt = self.around.files.text(path, section.place("prompt"), self.around.findings)
        schema = self._output(section) if "output" in section else None
        if prompt is not None:
            self.files[path] = None
        return ModelStep(
            name=section.text("as"), prompt_path=path, prompt=prompt or "", output_schema=schema, source=at.ref
        )

    def _output(self, section: Section) -> JsonObject | None:
        path, at = section.text("output"), section.place("output")
        schema = read_schema(path, at, self.around)
        if schema is not None:
            self.files[path] = None
        return schema

    def _check(self, section: Section, at: Mark) -> CheckStep | None:
        if "python" not in section:
            return None
        origin = python_origin(section.text("python"))
        of = section.scalars("of")
        self._known(of)
        shape = self.around.sources.shape(origin, section.place("python"))
        if shape is not None:
            self.files[origin.file] = None
            if not shape.takes_least <= len(of) <= shape.takes_most:
                self.around.findings.error(
                    section.place("of"),
                    "wrong-arity",
                    f"{origin.function!r} takes {shape.takes_least} values ({shape.at.ref}), `of` names {len(of)}.",
                )
        return CheckStep(name=origin.function, function=origin, of=tuple(each.text for each in of), source=at.ref)

    def _tool(self, section: Section, at: Mark) -> ToolStep | None:
        if "name" not in section:
            return None
        name = ToolName(section.text("name"))
        place = section.place("name")
        self.tools.setdefault(name, place)
        args = section.named_scalars("args")
        self._known(args.values())
        tool = self.around.tool(name, place)
        if tool is not None:
            check_arguments(tool, args, section, self.around)
        return ToolStep(
            name=section.text("as", name),
            tool=name,
            args={key: each.text for key, each in args.items()},
            source=at.ref,
        )

    def _known(self, paths: Iterable[Scalar]) -> None:
        """Every path starts at the input or at an earlier step."""
        for each in paths:
            root = each.text.split(".")[0]
            if root != "input" and root not in self.names:
                known = ("input", *self.names)
                self.around.findings.error(
                    each.at,
                    "unknown-path",
                    f"{each.text!r} starts with {root!r}, which is neither `input` nor an earlier step.",
                    did_you_mean(root, known),
                )


def _one(scalar: Scalar | None) -> tuple[Scalar, ...]:
    return () if scalar is None else (scalar,)
