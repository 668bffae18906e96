"""Every key of the configuration changes something where it is used; a new key without such a test fails here."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.certificates import self_signed
from tests.support.running_service import running_service

from easytracking_simulator import Options, Simulator, status
from easytracking_simulator.httpx_transport import SimulatorTransport
from easytracking_sync.alarm_terms import AccountCondition
from easytracking_sync.app import CatchUpRequest, catch_up
from easytracking_sync.app.alerts import alarm_settings_of, channels_of, limits_of, silent_at, writer_of
from easytracking_sync.app.composition import archive_of, bounds_of, client_of, machine_account, policy_of
from easytracking_sync.app.schedule import trigger_of
from easytracking_sync.app.service import serve
from easytracking_sync.archive.blobs import BlobSource
from easytracking_sync.archive.document_entries import DocumentEntry, DocumentFilter
from easytracking_sync.effects import Effects
from easytracking_sync.errors import SyncError
from easytracking_sync.machine.listing import Scope
from easytracking_sync.machine.observer import Silent
from easytracking_sync.observe.alarms.rules import Limits
from easytracking_sync.remote import ListQuery
from easytracking_sync.settings import Settings, load_settings
from easytracking_sync.terms import DocumentState, FileType, Window, WindowKind

empty_archive: Callable[[], bytes] = importlib.import_module("tests.support.archive_builder")._empty_archive

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANYWHERE = "http://127.0.0.1:9"
ACCOUNT = {
    "base_url": ANYWHERE,
    "auth_base_url": ANYWHERE,
    "username": "demo1",
    "password": "s3cret",
    "history_from": date(2026, 6, 1),
}
SERVICE = Options(
    documents=4, history_days=100, p7m_share=0, long_share=0, attachment_share=0, intermediary_share=1, until=NOON
)


class Hurried:
    """A clock that passes much faster than it should: whoever waits really waits a moment."""

    def __init__(self) -> None:
        self._begun = NOON
        self._passed = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return self._begun + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return self._passed

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        with self._lock:
            self._passed += min(seconds, 0.5)
        return wake.wait(0.002)


@dataclass
class Bench:
    """A folder to configure in, and a service to try it on."""

    folder: Path
    clock: Hurried = field(default_factory=Hurried)

    @property
    def effects(self) -> Effects:
        return Effects(clock=self.clock)

    def settings(self, account: dict[str, Any] | None = None, **sections: dict[str, Any] | str) -> Settings:
        """Settings of these sections, with one account; an account's key that is None is left out."""
        tree: dict[str, Any] = {
            "database": {"url": f"sqlite:///{self.folder}/archive.db"},
            "storage": {"min_free_bytes": 0},
            **sections,
        }
        given = {key: value for key, value in (ACCOUNT | (account or {})).items() if value is not None}
        text = "".join(f"{key} = {_toml(value)}\n" for key, value in tree.items() if not isinstance(value, dict))
        for name, keys in {**tree, "accounts.acme": given}.items():
            if isinstance(keys, dict):
                text += f"[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in keys.items())
        file = self.folder / "config.toml"
        file.write_text(text, encoding="utf-8")
        return load_settings(file, {})

    def simulator(self, options: Options = SERVICE) -> Simulator:
        made = Simulator(options, self.clock)
        made.set_password("demo1", str(ACCOUNT["password"]))
        return made

    def catch_up(self, simulator: Simulator, settings: Settings) -> dict[int, DocumentEntry]:
        """What is in the archive after one run."""
        path = settings.database.sqlite_path
        assert path is not None
        if not path.exists():
            path.write_bytes(empty_archive())
        outcome = catch_up(
            settings, CatchUpRequest(), effects=replace(self.effects, network=SimulatorTransport(simulator))
        )
        assert outcome.finished, outcome
        archive = archive_of(settings, self.effects)
        try:
            return {entry.doc_id: entry for entry in archive.document_search.documents(DocumentFilter())}
        finally:
            archive.close()

    def sent(self, settings: Settings) -> list[httpx.Request]:
        """What an account says when it logs in and lists."""
        said: list[httpx.Request] = []

        def answer(request: httpx.Request) -> httpx.Response:
            request.read()
            said.append(request)
            body: Any = "token" if "Token" in request.url.path else {"invoices": [], "total": 0}
            return httpx.Response(200, json=body, request=request)

        effects = replace(self.effects, network=httpx.MockTransport(answer))
        with client_of(settings, "acme", effects) as service:
            moment = datetime(2026, 5, 1)  # noqa: DTZ001  the service's times are naive
            service.list_documents(ListQuery(Window(WindowKind.RECEIVED, moment, moment), phase1=False))
        return said


def _toml(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(str(value) if isinstance(value, Path) else value)


Effect = Callable[[Bench], None]
EFFECTS: list[tuple[tuple[str, ...], Effect]] = []


def of(*keys: str) -> Callable[[Effect], Effect]:
    """Register what shows that these keys take effect."""

    def register(effect: Effect) -> Effect:
        EFFECTS.append((keys, effect))
        return effect

    return register


@of("timezone")
def timezone_is_the_service_s_local_time(bench: Bench) -> None:
    ends = {}
    for zone in ("Europe/Rome", "Asia/Tokyo"):
        settings = bench.settings(timezone=zone)
        with client_of(settings, "acme", bench.effects) as service:
            account = machine_account(1, "acme", settings, service)
        ends[zone] = Scope.whole_history(account, NOON, marked_too=False).windows[0].end
    assert ends["Asia/Tokyo"] - ends["Europe/Rome"] == timedelta(hours=8)


@of("database.url")
def database_url_places_the_archive(bench: Bench) -> None:
    settings = bench.settings(database={"url": f"sqlite:///{bench.folder}/elsewhere/mine.db"})
    assert archive_of(settings, bench.effects).database.path == bench.folder / "elsewhere" / "mine.db"
    assert settings.spool_path == bench.folder / "elsewhere" / "spool"


@of("database.url_file")
def database_url_may_come_from_a_file(bench: Bench) -> None:
    (bench.folder / "url").write_text(f"sqlite:///{bench.folder}/filed.db\n")
    settings = bench.settings(database={"url_file": bench.folder / "url"})
    assert archive_of(settings, bench.effects).database.path == bench.folder / "filed.db"


@of("storage.backend", "storage.path")
def storage_path_holds_the_blobs(bench: Bench) -> None:
    settings = bench.settings(storage={"backend": "filesystem", "path": bench.folder / "vault"})
    sha256 = hashlib.sha256(b"x").hexdigest()
    archive_of(settings, bench.effects).blobs.put([BlobSource(sha256, 1, lambda: iter([b"x"]))])
    assert [path.read_bytes() for path in (bench.folder / "vault").rglob(sha256)] == [b"x"]


@of("storage.spool")
def spool_holds_the_parcels(bench: Bench) -> None:
    settings = bench.settings(storage={"spool": bench.folder / "yard"})
    archive_of(settings, bench.effects).spool.prepare()
    assert (bench.folder / "yard" / "inspection").is_dir()


@of("storage.min_free_bytes")
def below_the_reserve_nothing_is_fetched(bench: Bench) -> None:
    for least, room in ((0, True), (10**15, False)):
        spool = archive_of(bench.settings(storage={"min_free_bytes": least}), bench.effects).spool
        spool.prepare()
        assert spool.has_space() is room


def next_run(settings: Settings) -> datetime | None:
    """When the account's cycle is due first, after noon."""
    trigger = trigger_of(settings.schedule("acme"), settings.timezone, NOON)
    found: datetime | None = trigger.get_next_fire_time(NOON, NOON)
    return found


@of("sync.every", "accounts.acme.every")
def every_sets_the_interval(bench: Bench) -> None:
    rare, often = bench.settings(sync={"every": "1d"}), bench.settings({"every": "2s"}, sync={"every": "1d"})
    gaps = []
    for settings in (rare, often):
        trigger = trigger_of(settings.schedule("acme"), settings.timezone, NOON)
        first = trigger.get_next_fire_time(NOON, NOON)
        gaps.append(trigger.get_next_fire_time(first, first) - first)
    assert gaps[0] > timedelta(hours=20)
    assert gaps[1] < timedelta(seconds=4)


@of("sync.cron", "accounts.acme.cron")
def cron_sets_the_schedule(bench: Bench) -> None:
    for settings, hour in (
        (bench.settings(sync={"cron": "0 23 * * *"}), 22),
        (bench.settings({"cron": "0 22 * * *"}, sync={"cron": "0 23 * * *"}), 21),
    ):
        due = next_run(settings)
        assert due is not None
        late = due.astimezone(UTC) - NOON.replace(hour=hour)
        assert timedelta() <= late < timedelta(minutes=5), "jitter apart"


@of("sync.workers")
def workers_sets_the_number_of_threads(bench: Bench) -> None:
    settings, stop = bench.settings(sync={"workers": 3}), threading.Event()
    seen: set[str] = set()

    class Watching(Silent):
        def note(self, name: str, /, level: str = "", **facts: object) -> None:
            if name == "service.started":
                seen.update(thread.name for thread in threading.enumerate())
                stop.set()

    serve(settings, Watching(), stop, reload=lambda: settings, effects=Effects())
    assert {name for name in seen if name.startswith("short-")} == {"short-0", "short-1", "short-2"}


@of("sync.jobs_in_flight", "sync.max_file_bytes")
def the_engine_has_these_limits(bench: Bench) -> None:
    bounds = bounds_of(bench.settings(sync={"jobs_in_flight": 7, "max_file_bytes": 12_345}))
    assert (bounds.jobs_in_flight, bounds.parcel.most_file_bytes) == (7, 12_345)


@of("sync.retry_base_seconds", "sync.retry_cap_seconds")
def retry_pauses_grow_from_base_to_cap(bench: Bench) -> None:
    policy = policy_of(bench.settings(sync={"retry_base_seconds": 3, "retry_cap_seconds": 50}))
    assert [policy.backoff(attempt) for attempt in (1, 2, 9)] == [3, 6, 50]


@of("sync.poll_first_seconds", "sync.poll_cap_seconds")
def poll_pauses_grow_from_first_to_cap(bench: Bench) -> None:
    policy = policy_of(bench.settings(sync={"poll_first_seconds": 4, "poll_cap_seconds": 5}))
    assert [policy.poll(polls) for polls in (0, 9)] == [4, 5]


@of("sync.job_deadline_seconds")
def a_job_is_lost_after_its_deadline(bench: Bench) -> None:
    assert policy_of(bench.settings(sync={"job_deadline_seconds": 77})).deadline(0) == 77


@of("sync.max_attempts")
def max_attempts_leads_to_quarantine(bench: Bench) -> None:
    for most, state in ((1, DocumentState.QUARANTINED), (2, DocumentState.ACKNOWLEDGED)):
        simulator = bench.simulator(replace(SERVICE, documents=1))
        simulator.script("reserve", status(403))
        database = {"url": f"sqlite:///{bench.folder}/{most}.db"}
        (entry,) = bench.catch_up(simulator, bench.settings(sync={"max_attempts": most}, database=database)).values()
        assert entry.state is state


@of("alerts.urls", "alerts.urls_file", "alerts.language")
def alarms_go_to_the_addresses_in_the_language(bench: Bench) -> None:
    pytest.importorskip("apprise")
    (bench.folder / "urls").write_text("json://one.example/a\njson://two.example/b\n")
    in_file = bench.settings(alerts={"urls_file": bench.folder / "urls"})
    given = bench.settings(alerts={"urls": ["json://three.example/"], "language": "en"})
    assert [channel.name for channel in channels_of(in_file)] == ["json://one.example", "json://two.example"]
    assert [channel.name for channel in channels_of(given)] == ["json://three.example"]
    assert [writer_of(settings).trial(NOON).title for settings in (in_file, given)] == [
        "easytracking-sync: messaggio di prova",
        "easytracking-sync: test message",
    ]


@of("alerts.silent_intervals", "alerts.backlog_hours", "alerts.free_margin_bytes")
def alarms_begin_at_their_thresholds(bench: Bench) -> None:
    limited = {"silent_intervals": 3, "backlog_hours": 5, "free_margin_bytes": 7}
    settings = bench.settings({"every": "1h"}, alerts=limited, storage={"min_free_bytes": 100})
    assert silent_at(settings, "acme", AccountCondition(1, "acme", NOON)) == NOON + timedelta(hours=3)
    assert limits_of(settings) == Limits(timedelta(hours=5), 107)
    by_cron = bench.settings({"cron": "0 6,18 * * *"}, alerts=limited)
    assert silent_at(by_cron, "acme", AccountCondition(1, "acme", NOON)) == NOON + timedelta(days=1, hours=5)


@of("alerts.new_invoices", "alerts.digest", "alerts.heartbeat_url", "alerts.heartbeat_url_file")
def only_chosen_messages_are_sent(bench: Bench) -> None:
    with answering(None) as (port, heard):
        (bench.folder / "url").write_text(f"http://127.0.0.1:{port}/of-the-file\n")
        for url in (
            {"heartbeat_url": f"http://127.0.0.1:{port}/of-the-key"},
            {"heartbeat_url_file": bench.folder / "url"},
        ):
            wished = {"new_invoices": True, "digest": "07:30", **url}
            settings = bench.settings(alerts=wished, database={"url": f"sqlite:///{bench.folder}/{len(heard)}.db"})
            assert alarm_settings_of(settings).new_invoices
            assert alarm_settings_of(settings).digest == time(7, 30)
            bench.catch_up(bench.simulator(), settings)
    assert [request.split()[1] for request in heard] == [b"/of-the-key", b"/of-the-file"]


@of("accounts.acme.environment")
def an_environment_sets_both_addresses(bench: Bench) -> None:
    own = {"environment": "ditech-staging", "base_url": None, "auth_base_url": None}
    said = bench.sent(bench.settings(own))
    assert [request.url.host for request in said] == [
        "isentry.intermediariotest.ditechonline.it",
        "servizi.intermediariotest.ditechonline.it",
    ]


@of("accounts.acme.base_url", "accounts.acme.auth_base_url", "accounts.acme.route")
def calls_go_to_the_addresses_and_the_route(bench: Bench) -> None:
    own = {"base_url": "https://one.example/x", "auth_base_url": "https://two.example", "route": "v11"}
    login, listing = bench.sent(bench.settings(own))
    assert str(login.url) == "https://two.example/api/Token/AccessToken"
    assert str(listing.url).startswith("https://one.example/x/api/v11/DownloadInvoices/passive-invoices?")


@of("accounts.acme.username", "accounts.acme.password", "accounts.acme.client_secret")
def the_login_sends_the_credentials(bench: Bench) -> None:
    login, _ = bench.sent(bench.settings({"username": "mario", "password": "p", "client_secret": "c"}))
    said = json.loads(login.content)
    assert (said["username"], said["password"], said["clientSecret"]) == ("mario", "p", "c")


@of("accounts.acme.password_file", "accounts.acme.client_secret_file")
def secrets_may_come_from_files(bench: Bench) -> None:
    for name in ("password", "client"):
        (bench.folder / name).write_text(f"{name} of a file\n")
    own = {
        "password": None,
        "password_file": bench.folder / "password",
        "client_secret_file": bench.folder / "client",
    }
    login, _ = bench.sent(bench.settings(own))
    said = json.loads(login.content)
    assert (said["password"], said["clientSecret"]) == ("password of a file", "client of a file")


@of("accounts.acme.file_types")
def only_the_configured_types_are_stored(bench: Bench) -> None:
    simulator = bench.simulator()
    entries = bench.catch_up(simulator, bench.settings({"file_types": ["MT", "FI"]}))
    assert {part.type for entry in entries.values() for part in entry.files} == {"MT", "FI"}
    assert simulator.count("jobs-select-type") > 0
    assert simulator.count("jobs") == 0
    settings = bench.settings({"file_types": ["MT", "FI"]})
    with client_of(settings, "acme", bench.effects) as service:
        assert machine_account(1, "acme", settings, service).original is FileType.MT


@of("accounts.acme.acknowledge")
def acknowledge_sets_the_phase_or_none(bench: Bench) -> None:
    for how, phases in (("phase1", (True, False)), ("phase2", (False, True)), ("none", (False, False))):
        simulator = bench.simulator()
        settings = bench.settings({"acknowledge": how}, database={"url": f"sqlite:///{bench.folder}/{how}.db"})
        entries = bench.catch_up(simulator, settings)
        assert {entry.state for entry in entries.values()} == {DocumentState.ACKNOWLEDGED}
        everything = frozenset(simulator.ids())
        assert [simulator.marked(phase) == everything for phase in (1, 2)] == list(phases)


@of("accounts.acme.on_relist")
def on_relist_acknowledges_or_fetches_again(bench: Bench) -> None:
    simulator = bench.simulator()
    first = simulator.ids()[0]
    reserved = []
    for how in ("acknowledge", "acknowledge", "refetch"):
        bench.catch_up(simulator, bench.settings({"on_relist": how}))
        reserved.append(simulator.count("reserve"))
        simulator.set_phase(1, [first], on=False)
        bench.clock.wait(threading.Event(), 0.5)
    assert reserved[1] == reserved[0]
    assert reserved[2] == reserved[1] + 1


@of("accounts.acme.history_from")
def documents_before_history_from_are_not_fetched(bench: Bench) -> None:
    simulator = bench.simulator()
    received = {doc_id: simulator.document(doc_id).received for doc_id in simulator.ids()}
    days = sorted(moment.date() for moment in received.values() if moment)
    entries = bench.catch_up(simulator, bench.settings({"history_from": days[2]}))
    young = {doc_id for doc_id, moment in received.items() if moment and moment.date() >= days[2]}
    assert young <= set(entries) < set(received)


@of("accounts.acme.receiver_piva", "accounts.acme.receiver_cf")
def only_the_receiver_s_documents_are_listed(bench: Bench) -> None:
    simulator = bench.simulator()
    mine = simulator.add_document("demo1", receiverPIVA="01234567897", receiverCF="RSSMRA80A01H501U")
    for key, code in (("receiver_piva", "01234567897"), ("receiver_cf", "RSSMRA80A01H501U")):
        simulator.set_phase(1, [mine], on=False)
        settings = bench.settings({key: code}, database={"url": f"sqlite:///{bench.folder}/{key}.db"})
        assert set(bench.catch_up(simulator, settings)) == {mine}


@of("accounts.acme.ca_file")
def a_company_s_own_authority_is_trusted(bench: Bench) -> None:
    certificate, key = self_signed(bench.folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    for own, said in (({}, "certificate is not trusted"), ({"ca_file": certificate}, "503")):
        with answering(context) as (port, _):
            address = f"https://localhost:{port}"
            settings = bench.settings({"base_url": address, "auth_base_url": address, **own})
            with client_of(settings, "acme", bench.effects) as service, pytest.raises(SyncError, match=said):
                service.log_in()


@of("accounts.acme.proxy")
def calls_go_through_the_proxy(bench: Bench) -> None:
    with answering(None) as (port, heard):
        settings = bench.settings({"proxy": f"http://127.0.0.1:{port}"})
        with client_of(settings, "acme", bench.effects) as service, pytest.raises(SyncError):
            service.log_in()
    assert heard[0].startswith(f"POST {ANYWHERE}/api/Token/AccessToken ".encode())


@of("http.listen", "http.allowed_hosts")
def pages_are_served_at_the_address_to_allowed_hosts(bench: Bench) -> None:
    settings = bench.settings(http={"listen": "127.0.0.2:0", "allowed_hosts": ["monitor.example"]})
    with running_service(settings) as service:
        assert service.address.startswith("http://127.0.0.2:")
        assert service.get("/healthz").status_code == 200
        assert service.get("/healthz", Host="monitor.example").status_code == 200
        assert service.get("/healthz", Host="other.example").status_code == 400


@of("http.token", "http.token_file")
def metrics_require_the_token(bench: Bench) -> None:
    (bench.folder / "token").write_text("a-token-out-of-a-file\n")
    given = {"listen": "127.0.0.1:0", "token": "a-token-given-directly"}
    filed = {"listen": "0.0.0.0:0", "token_file": bench.folder / "token"}
    for keys, token in ((given, "a-token-given-directly"), (filed, "a-token-out-of-a-file")):
        with running_service(bench.settings(http=keys)) as service:
            assert service.get("/metrics").status_code in {400, 401}
            right = {"Authorization": f"Bearer {token}", "Host": "localhost"}
            assert service.get("/metrics", **right).status_code == 200
            assert service.get("/metrics", Host="localhost").status_code == 401


@contextmanager
def answering(context: ssl.SSLContext | None) -> Iterator[tuple[int, list[bytes]]]:
    """A server that answers 503 to whatever it hears; its port, and what it heard."""
    heard: list[bytes] = []
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.02)

        def answer() -> None:
            while not stop.is_set():
                with contextlib.suppress(OSError):  # nobody calls, or hangs up on a certificate it does not trust
                    connection, _ = listening.accept()
                    connection.settimeout(5)
                    with context.wrap_socket(connection, server_side=True) if context else connection as open_:
                        heard.append(whole_request(open_))
                        open_.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield listening.getsockname()[1], heard
        finally:
            stop.set()
            thread.join()


def whole_request(connection: socket.socket) -> bytes:
    """Head and body: hanging up on what was not read yet would reset the line."""
    request = connection.recv(65_536)
    while piece := connection.recv(65_536) if is_cut(request) else b"":
        request += piece
    return request


def is_cut(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    return bool(request) and (not end or (length is not None and len(body) < int(length[1])))


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # apprise imports it
@pytest.mark.parametrize("effect", [effect for _, effect in EFFECTS], ids=lambda effect: effect.__name__)
def test_a_key_takes_effect(effect: Effect, tmp_path: Path) -> None:
    """Each effect asserts for itself."""
    effect(Bench(tmp_path))


def test_every_documented_key_has_such_a_test(tmp_path: Path) -> None:
    documented = set(Bench(tmp_path).settings().sources)
    assert {key for keys, _ in EFFECTS for key in keys} == documented
