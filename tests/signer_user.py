"""A signer process under an OS user of its own, as a test starts it: root drops to that user, others stay who they are.

    python -m tests.signer_user UID --socket PATH --state FOLDER --allow-uid UID

Everything is imported before, since the other user may not be able to read where Python is installed.
"""

import asyncio
import encodings.idna
import os
import sys

from leverframe.cli.commands import signer
from leverframe.cli.main import main

NEEDED = (asyncio, encodings.idna, signer)


def become(uid: int) -> None:
    """Be that user, for good."""
    if uid != os.getuid():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)


if __name__ == "__main__":
    become(int(sys.argv[1]))
    sys.exit(main(["signer", *sys.argv[2:]]))
