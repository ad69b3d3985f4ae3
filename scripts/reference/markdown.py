"""The little Markdown that the reference pages are made of."""

from collections.abc import Iterable, Sequence


def page(title: str, intro: str, *blocks: str) -> str:
    """One page: a title, where it comes from, and its blocks, an empty line between them."""
    origin = "<!-- Written by `make docs` from the code. Edit it there. -->"
    return "\n\n".join([f"# {title}", origin, intro, *(block for block in blocks if block)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; empty text when it has no row."""
    body = [_row(cells) for cells in rows]
    return "\n".join([_row(head), _row(["---"] * len(head)), *body]) if body else ""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def code(text: str) -> str:
    """`text` as code; a dash when there is none."""
    if not text:
        return "-"
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"
