"""What the simulator itself may refuse to do; what it answers over the wire is in `wire`."""

from __future__ import annotations


class SimulatorError(Exception):
    """The simulator was asked for something it cannot do; the message says what to change."""


class SigningUnavailableError(SimulatorError):
    """Signed documents are wanted, but the optional package that signs is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "signed (.p7m) documents need the package 'cryptography': "
            "pip install 'easytracking-sync[simulator]', or ask for no signed documents (p7m_share = 0)"
        )
