"""A vendor's key that is not there is told when `serve` starts, and not at somebody's first call."""

import signal
from pathlib import Path

import pytest

from leverframe.testing.loopback import LoopbackServer, Served
from tests.served import ServedDesk, served_folder

PROJECT = """\
providers:
  openai: {wire: openai, key: "secret://env/A_KEY_OF_A_VENDOR"}
models: {fast: [openai/gpt-5-mini]}
"""


def said_at_start(folder: Path, environment: dict[str, str]) -> tuple[str, int, str]:
    """What stands on standard error once it is ready, and how a call ends that it was said of."""
    (folder / "workflows").mkdir()
    (folder / "leverframe.yaml").write_text(PROJECT, encoding="utf-8")
    (folder / "workflows" / "desk.yaml").write_text("workflow: desk\nmodels: {default: fast}\n", encoding="utf-8")
    with served_folder(folder, environment=environment) as desk:
        answer = desk.chat()
        return ended(desk), answer.status, answer.body.decode()


def ended(desk: ServedDesk) -> str:
    assert desk.process is not None
    desk.process.send_signal(signal.SIGTERM)
    _, said = desk.process.communicate(timeout=60)
    desk.process = None
    return bytes(said).decode()


def test_a_key_that_does_not_resolve_is_named_when_the_server_starts(tmp_path: Path) -> None:
    said, status, body = said_at_start(tmp_path, {})

    assert said.startswith("warning: 'secret://env/A_KEY_OF_A_VENDOR' does not resolve")
    assert "Until then its models are refused." in said
    assert status == 502, body


def test_a_key_of_our_own_in_the_place_of_the_vendors_is_named_and_not_sent(tmp_path: Path) -> None:
    own = f"lf_{'a' * 22}_{'b' * 43}"

    said, status, body = said_at_start(tmp_path, {"A_KEY_OF_A_VENDOR": own})

    assert "opens this gateway and no vendor" in said
    assert status == 502, body
    assert own not in said + body


SAID = """\
providers:
  openai: {{wire: openai, url: "{url}/v1", private: allowed, key: "secret://env/A_KEY_OF_A_VENDOR"}}
models: {{fast: [openai/gpt-5-mini]}}
"""
REPEATS = [b'{"error": {"message": "bad %s"}}', b'{"detail": "bad %s"}']


@pytest.mark.parametrize("said", REPEATS)
def test_a_key_that_a_vendor_repeats_with_status_200_is_told_to_nobody(tmp_path: Path, said: bytes) -> None:
    key = "sk-" + "k" * 40
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "desk.yaml").write_text("workflow: desk\nmodels: {default: fast}\n", encoding="utf-8")
    with LoopbackServer(lambda _: Served(body=said % key.encode())) as vendor:
        (tmp_path / "leverframe.yaml").write_text(SAID.format(url=vendor.url), encoding="utf-8")
        with served_folder(tmp_path, environment={"A_KEY_OF_A_VENDOR": key}) as desk:
            answer = desk.chat()

    assert answer.status == 502
    assert "bad [secret]" in answer.json["error"]["message"]
