"""Sleep on a lock. Under a preloaded clock that leaves the monotonic one true, `time.sleep` fails with EINVAL."""

from __future__ import annotations

import threading
import time


def sleep_on_a_lock(seconds: float) -> None:
    """As `time.sleep`, whose absolute deadline the preloaded clock misreads."""
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=seconds)


time.sleep = sleep_on_a_lock
