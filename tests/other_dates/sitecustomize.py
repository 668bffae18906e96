"""Sleep on a lock. Under a preloaded clock that leaves the monotonic one true, `time.sleep` fails with EINVAL."""

from __future__ import annotations

import threading
import time
from typing import SupportsIndex


def sleep_on_a_lock(seconds: float | SupportsIndex, /) -> None:
    """As `time.sleep`, whose absolute deadline the preloaded clock misreads."""
    duration = seconds if isinstance(seconds, float) else float(seconds.__index__())
    if duration < 0:
        raise ValueError("sleep length must be non-negative")
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=duration)


time.sleep = sleep_on_a_lock
