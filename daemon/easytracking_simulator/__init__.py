"""A faithful Easy Tracking service for tests, demonstrations and integrators.

Written from the vendor's document alone (routes v10, document version 12.0); it shares no code with the client.
"""

from easytracking_simulator.documents import WITHOUT_FIELD, Document, File
from easytracking_simulator.errors import SigningUnavailableError, SimulatorError
from easytracking_simulator.faults import Call, Fault, Faults, Kind, Rate, bad_zip, lost, odd_element, status, torn
from easytracking_simulator.http_messages import Reply, Request, Tear, TearKind
from easytracking_simulator.options import Clock, Counts, Options
from easytracking_simulator.random_faults import storm
from easytracking_simulator.service_state import Account
from easytracking_simulator.simulator import Called, Simulator, TrueDocument, TrueFile

__all__ = [
    "WITHOUT_FIELD", "Account", "Call", "Called", "Clock", "Counts", "Document", "Fault", "Faults", "File", "Kind",
    "Options", "Rate", "Reply", "Request", "SigningUnavailableError", "Simulator", "SimulatorError", "Tear",
    "TearKind", "TrueDocument", "TrueFile", "bad_zip", "lost", "odd_element", "status", "storm", "torn",
]  # fmt: skip
