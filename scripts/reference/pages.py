"""Every reference page by its file name."""

from importlib.util import find_spec

from scripts.reference import config, events, findings, problems


def pages() -> dict[str, str]:
    """The text of each page under docs/reference, as the code is now."""
    wanted = {"events.md": events.render(), "findings.md": findings.render(), "problems.md": problems.render()}
    wanted |= {f"{file}.md": config.render(file) for file in config.TITLES}
    # The page of the command line appears with the command line.
    if find_spec("leverframe.cli") and find_spec("leverframe.cli.main"):
        from leverframe.cli.main import build_parser

        from scripts.reference import cli

        wanted["cli.md"] = cli.render(build_parser())
    return wanted
