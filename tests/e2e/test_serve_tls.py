"""`leverframe serve` with a certificate of its own."""

import http.client
import json
import ssl
from contextlib import closing
from pathlib import Path

import pytest

from tests.certificates import certificate
from tests.served import CONTRACT, served_desk


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
