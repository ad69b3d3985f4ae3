"""Secret references become values, or say why not; no message ever holds a value."""

from pathlib import Path

import pytest

from leverframe.domain.errors import SecretUnavailable
from leverframe.identity.secrets import ProjectSecrets

VALUE = "sk-test-0123456789"


def secrets_of(tmp_path: Path, **environment: str) -> ProjectSecrets:
    return ProjectSecrets(tmp_path, environment)


def write(path: Path, data: bytes, mode: int = 0o600) -> None:
    path.write_bytes(data)
    path.chmod(mode)


def test_a_variable_resolves_and_is_known_from_then_on(tmp_path: Path) -> None:
    secrets = secrets_of(tmp_path, SHOP_KEY=VALUE)
    assert secrets.known_values() == frozenset()

    value = secrets.resolve("secret://env/SHOP_KEY")

    assert value == VALUE
    assert secrets.known_values() == {VALUE}


@pytest.mark.parametrize("form", ["relative", "absolute"])
def test_a_file_resolves_without_its_last_line_break(tmp_path: Path, form: str) -> None:
    write(tmp_path / "shop.txt", f"{VALUE}\n".encode())
    name = "shop.txt" if form == "relative" else str(tmp_path / "shop.txt")

    value = secrets_of(tmp_path).resolve(f"secret://file/{name}")

    assert value == VALUE


def test_a_rotated_file_gives_the_new_value_and_both_are_scrubbed(tmp_path: Path) -> None:
    secrets = secrets_of(tmp_path)
    write(tmp_path / "shop.txt", b"old-value")
    secrets.resolve("secret://file/shop.txt")
    write(tmp_path / "shop.txt", b"new-value")

    value = secrets.resolve("secret://file/shop.txt")

    assert value == "new-value"
    assert secrets.known_values() == {"old-value", "new-value"}


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("secret://env/NOT_THERE", "'NOT_THERE' is not set where Leverframe runs"),
        ("secret://env/", "is not a secret reference"),
        ("secret://kms/shop", "the source 'kms'"),
        ("secret://file/not-there.txt", "No such file"),
        ("secret://file/open.txt", "can be read by others (mode 0644"),
        ("secret://file/folder", "no plain file"),
        ("secret://file/binary.txt", "is not UTF-8"),
        ("secret://file/two-lines.txt", "a line break"),
        ("secret://file/short.txt", "has 3 characters"),
        (VALUE, "is not a secret reference"),
    ],
)
def test_a_reference_that_does_not_resolve_says_why_and_shows_no_value(
    tmp_path: Path, reference: str, reason: str
) -> None:
    write(tmp_path / "open.txt", VALUE.encode(), mode=0o644)
    write(tmp_path / "binary.txt", b"\xff\xfe\xfd\xfc")
    write(tmp_path / "two-lines.txt", f"{VALUE}\nx: {VALUE}".encode())
    write(tmp_path / "short.txt", b"abc")
    (tmp_path / "folder").mkdir(mode=0o700)
    secrets = secrets_of(tmp_path)

    with pytest.raises(SecretUnavailable) as caught:
        secrets.resolve(reference)

    # A source that holds more than the bare value, which the search after all tests would take for a leak.
    (tmp_path / "two-lines.txt").unlink()
    assert reason in str(caught.value)
    assert VALUE not in str(caught.value)
    assert caught.value.next_move
