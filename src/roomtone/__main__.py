"""`python -m roomtone`: the command line."""

from __future__ import annotations

import sys

from roomtone.cli import main

if __name__ == "__main__":
    sys.exit(main())
