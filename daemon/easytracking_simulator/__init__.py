"""A simulated Easy Tracking service for tests, demonstrations and integrators.

Written from the vendor's document alone (routes v10, document version 12.0); it shares no code with the client.
"""

from easytracking_simulator.documents import WITHOUT_FIELD, Document, File
from easytracking_simulator.errors import SigningUnavailableError, SimulatorError
from easytracking_simulator.faults import Call, Fault, Faults, Kind, Rate, bad_zip, lost, odd_element, status, torn
from easytracking_simulator.http_messages import Reply, Request, Tear, TearKind
from easytracking_simulator.options import Clock, Counts, Options
from easytracking_simulator.random_faults import random_faults
from easytracking_simulator.service_state import Account
from easytracking_simulator.simulator import JournalEntry, Simulator, TrueDocument, TrueFile

__all__ = [
    "WITHOUT_FIELD",
    "Account",
    "Call",
    "Clock",
    "Counts",
    "Document",
    "Fault",
    "Faults",
    "File",
    "JournalEntry",
    "Kind",
    "Options",
    "Rate",
    "Reply",
    "Request",
    "SigningUnavailableError",
    "Simulator",
    "SimulatorError",
    "Tear",
    "TearKind",
    "TrueDocument",
    "TrueFile",
    "bad_zip",
    "lost",
    "odd_element",
    "random_faults",
    "status",
    "torn",
]  # fmt: skip
