"""`python -m scripts.reference`: write every page that is not what the code says."""

import sys
from pathlib import Path

from scripts.reference import problems
from scripts.reference.pages import pages

ROOT = Path(__file__).parent.parent.parent


def main() -> int:
    """Write what changed and print its name; a problem's own page is written once and then belongs to its author."""
    wanted = {ROOT / "docs" / "reference" / name: text for name, text in pages().items()}
    for problem in problems.problem_classes():
        own = ROOT / "docs" / "problems" / f"{problem.slug}.md"
        if not own.exists():
            wanted[own] = problems.first_page(problem)
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
