"""The vault of a test's database: keys beside it, as a project has them."""

from pathlib import Path

from leverframe.identity.vault import FileVault


def vault_beside(database: Path) -> FileVault:
    return FileVault(database.parent / "keys")
