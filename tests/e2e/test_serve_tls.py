"""`leverframe serve` with a certificate of its own."""

import http.client
import json
import ssl
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.certificates import certificate
from tests.served import CONTRACT, PROJECT, ServedProject, free_port, served_desk


def test_calls_are_served_over_tls_and_over_nothing_else(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "localhost")
    words = ("--tls-cert", str(cert), "--tls-key", str(key))
    trusting = ssl.create_default_context(cafile=str(cert))
    with served_desk(tmp_path, CONTRACT, words=words, trusting=trusting) as desk:
        sent = json.dumps({"model": "fast", "messages": [{"role": "user", "content": "Hello"}], "stream": True})
        headers = {"Authorization": f"Bearer {desk.key}"}
        with closing(http.client.HTTPSConnection("localhost", desk.port, context=trusting, timeout=20)) as client:
            client.request("POST", "/v1/chat/completions", sent, headers)
            answer = client.getresponse()
            assert (answer.status, answer.read().endswith(b"data: [DONE]\n\n")) == (200, True)
        with closing(http.client.HTTPConnection("localhost", desk.port, timeout=20)) as plain:
            plain.request("POST", "/v1/chat/completions", sent, headers)
            with pytest.raises((http.client.HTTPException, OSError)):
                plain.getresponse()
        assert desk.vendor.served.requests == 1


def locked(key: Path) -> None:
    """Encrypt it in its place."""
    read = load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(read.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass")))


@pytest.mark.parametrize("workers", ["1", "3"])
@pytest.mark.parametrize("wrong", ["another key", "no certificate", "a locked key"])
def test_files_that_cannot_be_served_with_are_refused_in_words_and_at_once(
    tmp_path: Path, workers: str, wrong: str
) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "leverframe.yaml").write_text(PROJECT.format(url="http://127.0.0.1:9", more=""), encoding="utf-8")
    (tmp_path / "workflows" / "desk.yaml").write_text(CONTRACT, encoding="utf-8")
    project = ServedProject(folder=tmp_path, port=free_port())
    project.create_key()
    cert, key = certificate(tmp_path, "localhost")
    match wrong:
        case "another key":
            (tmp_path / "other").mkdir()
            _, key = certificate(tmp_path / "other", "localhost")
        case "no certificate":
            cert.write_text("no certificate", encoding="utf-8")
        case _:
            locked(key)

    said = project.cli(
        *("serve", "--port", str(project.port), "--workers", workers, "--tls-cert", str(cert), "--tls-key", str(key))
    )

    assert said.returncode == 2
    assert "--tls-key" in said.stderr
    assert "Traceback" not in said.stderr
    assert "a bug in Leverframe" not in said.stderr
