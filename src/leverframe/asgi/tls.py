"""The certificate and the key with which HTTPS is served.

Knows: what can be wrong with the two files, so that whoever named them is told before a port is taken.
Never: asks for a pass phrase, which nobody could give to a worker that is started again at night.
"""

import ssl

from leverframe.asgi.options import Options
from leverframe.domain.errors import UsageError


class _LockedError(Exception):
    """The key is encrypted."""


def tls_context(options: Options) -> ssl.SSLContext | None:
    """What both files make together; None where plain HTTP is served.

    Raises:
        UsageError: one of them cannot be read, or they do not belong together.
    """
    if not options.tls_cert:
        return None
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        found.load_cert_chain(options.tls_cert, options.tls_key, _unlock)
    except _LockedError as err:
        raise UsageError(
            f"The key of --tls-key {options.tls_key!r} is encrypted, and nobody is there to unlock it.",
            next_move=f"Decrypt it into a file that you alone can read: openssl pkey -in {options.tls_key} -out KEY.",
        ) from err
    except OSError as err:
        raise UsageError(
            f"Nothing can be served with --tls-cert {options.tls_cert!r} and --tls-key {options.tls_key!r}"
            f" ({_said(err)}).",
            next_move="Give a certificate chain and its own private key, each as a PEM file that can be read here.",
        ) from err
    return found


def _unlock() -> str:
    raise _LockedError


def _said(err: OSError) -> str:
    if not isinstance(err, ssl.SSLError):
        return err.strerror or "unreadable"
    return err.reason.lower().replace("_", " ") if err.reason else "one of them is no PEM file of its kind"
