"""URLs are parsed one way or not at all."""

import pytest

from leverframe.domain.errors import ProviderUnavailable
from leverframe.net.url import parse_url


@pytest.mark.parametrize(
    ("text", "host", "port", "path", "authority"),
    [
        ("https://api.openai.com/v1", "api.openai.com", 443, "/v1", "api.openai.com"),
        ("http://127.0.0.1:8000", "127.0.0.1", 8000, "/", "127.0.0.1:8000"),
        ("https://[2001:db8::1]:8443/a?b=c", "2001:db8::1", 8443, "/a?b=c", "[2001:db8::1]:8443"),
        ("https://API.Example.com/V1", "api.example.com", 443, "/V1", "api.example.com"),
        ("http://host:80/x", "host", 80, "/x", "host"),
    ],
)
def test_a_url_becomes_its_parts(text: str, host: str, port: int, path: str, authority: str) -> None:
    url = parse_url(text)

    assert (url.host, url.port, url.path, url.authority) == (host, port, path, authority)


def test_a_path_is_appended_with_one_slash() -> None:
    for text in ("https://host/v1", "https://host/v1/"):
        assert str(parse_url(text).below("/chat/completions")) == "https://host/v1/chat/completions"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.openai.com/v1",
        "ftp://host/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://user@host/",
        "https://user:pw-0123@host/",
        "https://host/#part",
        "https://host/a b",
        "https://host\\@evil/",
        "https://host/\r\nX: y",
        "https://host:0/",
        "https://host:99999/",
        "https://host:port/",
        "https://[::1/",
        "https://[zz]/",
        "https://[::1]%2f/",
        "https://[::1]evil.example/",
        "https://[v1.x]/",
        "https://[fe80::1%25lo]/",
        "https://127.0.0.1%00/",
        "https://a%2eb/",
        "https://a;b/",
        "https://a,b/",
        "https://*/",
        "https://-a/",
        "https://@host/",
        "https://h\u00f6st/",
        "https://host/" + "a" * 3000,
    ],
)
def test_anything_else_is_refused_without_showing_a_password(text: str) -> None:
    with pytest.raises(ProviderUnavailable) as caught:
        parse_url(text)

    assert "pw-0123" not in str(caught.value)
    assert len(str(caught.value)) < 400
