"""The schema: its migrations make the snapshot, and what an earlier version wrote is sealed and tagged once."""

import sqlite3
from importlib import resources

from leverframe.store.sqlite.migrate import APPLICATION_ID, migrations, newest, statements


def schema_of(sql: str) -> list[tuple[str, str, str]]:
    """Tables and indices that a script makes, without the spaces of their text."""
    with sqlite3.connect(":memory:") as shell:
        for statement in statements(sql):
            shell.execute(statement)
        rows = shell.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
        (application,) = shell.execute("PRAGMA application_id").fetchone()
        (version,) = shell.execute("PRAGMA user_version").fetchone()
    shell.close()
    return [*((kind, name, " ".join(text.split())) for kind, name, text in rows), ("", str(application), str(version))]


def strict(text: str) -> bool:
    return text.endswith((") STRICT", ") STRICT, WITHOUT ROWID"))


def test_all_migrations_applied_are_the_schema() -> None:
    snapshot = resources.files("leverframe.store").joinpath("schema.sql").read_text("utf-8")

    migrated = schema_of("\n".join(sql for _, sql in migrations()))

    assert migrated == schema_of(snapshot)
    assert migrated[-1] == ("", str(APPLICATION_ID), str(newest()))


def test_each_migration_ends_with_its_own_number() -> None:
    assert [number for number, _ in migrations()] == list(range(1, newest() + 1))
    for number, sql in migrations():
        assert sql.rstrip().endswith(f"PRAGMA user_version = {number};")


def test_every_table_is_strict() -> None:
    snapshot = resources.files("leverframe.store").joinpath("schema.sql").read_text("utf-8")

    loose = [name for kind, name, text in schema_of(snapshot) if kind == "table" and not strict(text)]

    assert loose == []
