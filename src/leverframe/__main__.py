"""`python -m leverframe`: the same as the command `leverframe`."""

import sys

from leverframe.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
