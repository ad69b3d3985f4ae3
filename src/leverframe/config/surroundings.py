"""What a contract is read against: the project's files, tools and project file, as far as they can be seen."""

from collections.abc import Mapping
from dataclasses import dataclass

from leverframe.config.findings import Findings, Mark, did_you_mean
from leverframe.config.project_file import ProjectFile
from leverframe.config.project_files import ProjectFiles
from leverframe.config.python_source import PythonSources
from leverframe.config.tool_specs import LoadedTool
from leverframe.domain.ids import ToolName


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The project around a contract.  `tools` and `project` are None where a contract is judged on its own."""

    files: ProjectFiles
    sources: PythonSources
    tools: Mapping[ToolName, LoadedTool] | None
    project: ProjectFile | None
    findings: Findings

    def tool(self, name: str, at: Mark) -> LoadedTool | None:
        """Find a tool that is named at `at`; an unknown one is an error, or a note where no tool can be seen."""
        if self.tools is None:
            self.findings.note(
                at,
                "tool-not-seen",
                f"Whether there is a tool {name!r} cannot be seen from this file alone.",
                "leverframe check, without a file, checks the whole project.",
            )
            return None
        found = self.tools.get(ToolName(name))
        if found is None:
            self.findings.error(
                at,
                "unknown-tool",
                f"There is no tool {name!r} in tools/.",
                did_you_mean(name, self.tools) or "Write tools/*.yaml, or a function with @tool in tools/*.py.",
            )
        return found
