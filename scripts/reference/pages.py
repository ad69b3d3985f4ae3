"""Every reference page by its file name."""

from functools import cache

from leverframe.cli.main import build_parser
from scripts.reference import cli, config, events, findings, problems


@cache
def pages() -> dict[str, str]:
    """The text of each page under docs/reference, as the code is now."""
    return {
        "cli.md": cli.render(build_parser()),
        "events.md": events.render(),
        "findings.md": findings.render(),
        "problems.md": problems.render(),
        **{f"{file}.md": config.render(file) for file in config.TITLES},
    }
