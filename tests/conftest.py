"""What every test shares: Hypothesis without deadlines, since machines that run tests are slow and shared."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("house", deadline=None, max_examples=50)
settings.load_profile("house")
