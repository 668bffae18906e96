"""Errors of the simulator itself, as opposed to replies of the simulated service."""

from __future__ import annotations


class SimulatorError(Exception):
    """The simulator cannot do this; the message says what to change."""


class SigningUnavailableError(SimulatorError):
    """Signed documents are requested, but the optional package for signing is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "signed (.p7m) documents need the package 'cryptography': "
            "pip install 'easytracking-sync[simulator]', or request no signed documents (p7m_share = 0)"
        )
