"""The offline verifier as one file, which goes into every bundle and is published with each release.

Knows: how the modules below are joined: one docstring, the imports once, then the code in the order in which it is
used.  Never: changes a line of code, so what is tested here is what an auditor runs.
"""

import ast
from importlib import resources

PARTS = ("report", "heads", "seen", "told", "keys", "switches", "story", "verify")
_PACKAGE = "leverframe.sdk"
_NOTE = "# Joined from the modules {} of leverframe.sdk, unchanged but for their imports of each other."


def verify_py() -> bytes:
    """The text of `verify.py`; the same bytes for the same version."""
    sources = [(resources.files(_PACKAGE) / f"{name}.py").read_text(encoding="utf-8") for name in PARTS]
    modules: set[str] = set()
    names: dict[str, set[str]] = {}
    bodies: list[str] = []
    for source in sources:
        lines = source.splitlines()
        for node in ast.parse(source).body:
            if isinstance(node, ast.Import):
                modules.update(one.name for one in node.names)
            elif isinstance(node, ast.ImportFrom):
                names.setdefault(str(node.module), set()).update(one.name for one in node.names)
            elif node.lineno > 1:
                continue
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
        bodies.append("\n".join(lines).strip())
    docstring = ast.get_docstring(ast.parse(sources[-1]), clean=False)
    imports = [f"import {name}" for name in sorted(modules)]
    imports += [
        f"from {module} import {', '.join(sorted(names[module]))}"
        for module in sorted(names)
        if not module.startswith(_PACKAGE)
    ]
    head = [f'"""{docstring}"""', _NOTE.format(", ".join(PARTS)), "\n".join(imports)]
    return ("\n\n".join([*head, "\n\n\n".join(bodies)]) + "\n").encode()
