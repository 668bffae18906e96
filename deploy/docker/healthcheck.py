"""The container's health check: exit with 0 if /healthz says `run` is healthy, else print why and exit with 1."""

from __future__ import annotations

import http.client
import os
import sys

LISTENS = "127.0.0.1:8464"


def main() -> int:
    """Return the exit code."""
    port = int((os.environ.get("EASYTRACKING_HTTP__LISTEN") or LISTENS).rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        said = answer.read(500).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer at port {port}: {error}")
        return 1
    finally:
        connection.close()
    print(said)
    return 0 if answer.status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main())
