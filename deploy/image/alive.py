"""Does the web process of this container live? Exit code 0 or 1. Asks by loopback with a host name that is allowed."""

from __future__ import annotations

import http.client
import os
import sys


def main() -> int:
    host = os.environ.get("CSSI_HOSTS", "localhost").split(",")[0]
    asked = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("CSSI_PORT", "8000")), timeout=4)
    try:
        asked.request("GET", "/" + (sys.argv[1] if len(sys.argv) > 1 else "healthz"), headers={"Host": host})
        return 0 if asked.getresponse().status == 200 else 1
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
