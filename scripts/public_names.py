"""`python -m scripts.public_names`: pin what users may import, which is what `__all__` lists.

The pin is tests/meta/public_names.txt; a test fails while the code says something else. A change of that file is a
change for users and belongs in changelog.d.
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PIN = ROOT / "tests" / "meta" / "public_names.txt"


def public_names() -> str:
    """One line a name, `module: name`, sorted. Read from the text, so that nothing is imported.

    Raises:
        ValueError: an `__all__` that is not a literal list or tuple of names, which no reader could pin.
    """
    lines = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and any(ast.unparse(target) == "__all__" for target in node.targets):
                lines += [f"{module}: {name}" for name in ast.literal_eval(node.value)]
    return "".join(f"{line}\n" for line in sorted(lines))


if __name__ == "__main__":
    PIN.write_text(public_names(), encoding="utf-8")
    sys.exit(0)
