"""How a process is to serve, as words of a command line that it hands to its workers."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8460


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where the project is and where it is served.  `fd` is a listening socket that was handed down; -1: none.

    `files` is an open file that holds those of the project as they are to be served; -1: as they stand in its folder.
    `public_url` is how clients write the address where it is not that of the host and port.
    """

    directory: str
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    workers: int = 1
    tls_cert: str = ""
    tls_key: str = ""
    public_url: str = ""
    fd: int = -1
    files: int = -1
    metrics: str = ""  # a folder in which the workers of one server leave their counts
    parent: int = 0  # the process that starts its workers again; 0: there is none

    def words(self, fd: int) -> list[str]:
        """The words with which a worker is started on a socket."""
        return [
            "--directory",
            self.directory,
            "--host",
            self.host,
            "--port",
            str(self.port),
            "--tls-cert",
            self.tls_cert,
            "--tls-key",
            self.tls_key,
            "--public-url",
            self.public_url,
            "--fd",
            str(fd),
            "--files",
            str(self.files),
            "--metrics",
            self.metrics,
            "--parent",
            str(self.parent),
        ]

    @property
    def is_one_of_several(self) -> bool:
        """Whether another worker may get the next request of a client."""
        return self.fd >= 0

    @property
    def url(self) -> str:
        """The address as a client writes it."""
        scheme = "https" if self.tls_cert else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


def read_options(words: Sequence[str]) -> Options:
    """Options from the words of `Options.words`."""
    parser = argparse.ArgumentParser(prog="leverframe.asgi", allow_abbrev=False)
    parser.add_argument("--directory", required=True)
    parser.add_argument("--host", default=DEFAULT_HOST)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--tls-cert", default="")
    parser.add_argument("--tls-key", default="")
    parser.add_argument("--public-url", default="")
    parser.add_argument("--fd", type=int, default=-1)
    parser.add_argument("--files", type=int, default=-1)
    parser.add_argument("--metrics", default="")
    parser.add_argument("--parent", type=int, default=0)
    found = parser.parse_args(words)
    return Options(
        directory=found.directory,
        host=found.host,
        port=found.port,
        tls_cert=found.tls_cert,
        tls_key=found.tls_key,
        public_url=found.public_url,
        fd=found.fd,
        files=found.files,
        metrics=found.metrics,
        parent=found.parent,
    )
