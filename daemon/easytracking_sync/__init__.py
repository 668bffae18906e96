"""easytracking-sync: brings every invoice held by Easy Tracking home, once, and proves it."""

__version__ = "0.1.0"
