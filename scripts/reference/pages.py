"""Every reference page by its file name."""

from importlib.util import find_spec

from scripts.reference import events, problems


def pages() -> dict[str, str]:
    """The text of each page under docs/reference, as the code is now."""
    wanted = {"events.md": events.render(), "problems.md": problems.render()}
    if find_spec("leverframe.config.keys"):
        from scripts.reference import config

        wanted |= {f"{file}.md": config.render(file) for file in config.INTROS}
    if find_spec("leverframe.cli") and find_spec("leverframe.cli.main"):
        from leverframe.cli.main import build_parser

        from scripts.reference import cli

        wanted["cli.md"] = cli.render(build_parser())
    return wanted
