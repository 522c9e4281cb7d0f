"""`python -m wallets.agent`."""

from __future__ import annotations

import sys

from wallets.agent.cli import main

if __name__ == "__main__":
    sys.exit(main())
