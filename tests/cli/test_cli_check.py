"""`check` reports failures and warnings with how to repair them, and changes nothing."""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.certificates import self_signed

from easytracking_sync.app.bundled_simulator import simulated_services
from easytracking_sync.app.check.network import clock_finding
from easytracking_sync.cli.exit_codes import code_of_kind
from easytracking_sync.observe.alarms import apprise_channels as channels_module
from easytracking_sync.terms import DocumentState

if TYPE_CHECKING:
    from tests.cli.conftest import Ran, Run
    from tests.support.archive_builder import ArchiveBuilder

archive_builder = importlib.import_module("tests.support.archive_builder")
NOT_ROOT = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


def line(told: Ran, part: str) -> tuple[str, str]:
    """Mark and repair of the one line that contains this text."""
    lines = told.out.splitlines()
    (at,) = [number for number, one in enumerate(lines) if part in one and not one.startswith("      →")]
    mend = lines[at + 1] if lines[at + 1].startswith("      → ") else ""
    return lines[at][:4].strip(), mend.removeprefix("      → ")


@pytest.fixture
def well(builder: ArchiveBuilder) -> ArchiveBuilder:
    """A complete installation without a service."""
    builder.folder.chmod(0o700)
    builder.configure(top='[alerts]\nfree_margin_bytes = 0\nheartbeat_url = "https://monitor.example/canary-ping"\n')
    builder.config.chmod(0o600)
    return builder


def offline(run: Run, builder: ArchiveBuilder) -> Ran:
    return run("--config", builder.config, "check", "--offline")


def test_a_working_installation_passes_and_is_not_changed(run: Run, builder: ArchiveBuilder) -> None:
    builder.folder.chmod(0o700)
    with simulated_services({"acme": 3}, seed=1) as services:
        login = services["acme"].login
        builder.configure("acme", base_url=login.base_url, username=login.username, password=login.password)
        before = builder.path.read_bytes()
        told = run("--config", builder.config, "check")
        assert services["acme"].reservations() == 0
    assert (told.code, told.err) == (0, "")
    assert "fail" not in told.out
    assert line(told, "acme: logs in and lists")[0] == "ok"
    assert line(told, "clock: agrees with the service's within ")[0] == "ok"
    assert builder.path.read_bytes() == before
    assert "canary" not in told.out


def test_an_installation_without_problems_passes_every_check(run: Run, well: ArchiveBuilder) -> None:
    told = offline(run, well)
    assert (told.code, told.out.splitlines()[-1].startswith("It works; 1 line marked warn")) == (0, True)
    mark, mend = line(told, "nobody is told")
    assert (mark, "alerts.urls" in mend) == ("warn", True)
    assert "a heartbeat goes to https://monitor.example" in told.out
    assert "canary" not in told.out
    assert line(told, "database: ")[0] == "ok"
    assert ", journal " in told.out
    assert ", synchronous " in told.out


def test_refused_credentials_are_distinguished_from_an_unreachable_service(run: Run, well: ArchiveBuilder) -> None:
    with simulated_services({"acme": 1}, seed=1) as services:
        well.configure("acme", base_url=services["acme"].login.base_url)
        refused = run("--config", well.config, "check")
    gone = run("--config", well.config, "check")
    assert (refused.code, gone.code) == (4, 75)
    assert "correct accounts.acme.username and password; " in refused.out
    assert "nothing listens at 127.0.0.1" in gone.out


def test_a_configured_client_secret_is_named_as_possibly_wrong(
    run: Run, well: ArchiveBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASYTRACKING_ACCOUNTS__ACME__CLIENT_SECRET", "one's own")
    with simulated_services({"acme": 1}, seed=1) as services:
        well.configure("acme", base_url=services["acme"].login.base_url)
        refused = run("--config", well.config, "check")
    assert "correct accounts.acme.username, password and client_secret; " in refused.out


def test_an_unknown_host_name_is_reported_as_such(run: Run, well: ArchiveBuilder) -> None:
    well.configure(base_url="https://nowhere.invalid")
    told = run("--config", well.config, "check")
    assert told.code == 75
    assert "the name nowhere.invalid cannot be resolved: check accounts.acme.environment or base_url" in told.out


def test_an_address_that_answers_unexpectedly_is_not_called_unreachable(run: Run, well: ArchiveBuilder) -> None:
    with simulated_services({"acme": 1}, seed=1) as services:
        well.configure("acme", base_url=f"{services['acme'].login.base_url}/elsewhere")
        told = run("--config", well.config, "check")
    assert told.code == 75
    assert "was reached: check accounts.acme.environment or base_url and route" in line(told, "acme: ")[1]


def test_a_database_server_that_does_not_answer_is_reported_with_what_to_check(
    run: Run, well: ArchiveBuilder
) -> None:
    text = well.config.read_text(encoding="utf-8").replace("[storage]", f'[storage]\nspool = "{well.folder}/spool"')
    text = text.replace(f"sqlite:///{well.path}", "postgresql+psycopg://nobody@127.0.0.1:9/archive")
    well.config.write_text(text, encoding="utf-8")
    told = offline(run, well)
    assert told.code == 75
    assert "database.url" in line(told, "database: ")[1]


@pytest.mark.parametrize(
    ("flaw", "mend"),
    [
        ("authority", "into accounts.acme.ca_file"),
        ("expired", "has expired or is not valid yet: check this machine's clock"),
        ("name", "the server that answers is not localhost"),
    ],
)
def test_each_certificate_error_is_explained(run: Run, well: ArchiveBuilder, flaw: str, mend: str) -> None:
    certificate, key = signed(well.folder, flaw)
    with tls_server(certificate, key) as port:
        well.configure(base_url=f"https://localhost:{port}")
        if flaw != "authority":
            text = well.config.read_text().replace("[accounts.acme]", f'[accounts.acme]\nca_file = "{certificate}"')
            well.config.write_text(text)
        told = run("--config", well.config, "check")
    assert told.code == 75
    assert mend in line(told, "acme: ")[1]


@pytest.mark.parametrize(
    ("ahead", "mark", "code"),
    [(0.4, "ok", 0), (-60.0, "ok", 0), (61.0, "warn", 0), (-300.0, "warn", 0), (301.0, "fail", 3), (-9e6, "fail", 3)],
)
def test_a_clock_one_minute_off_is_a_warning_and_five_minutes_off_a_failure(
    ahead: float, mark: str, code: int
) -> None:
    found = clock_finding(ahead)
    assert (found.severity, code_of_kind(found.fault) if found.fault else 0) == (mark, code)
    assert ("NTP" in found.repair) is (mark != "ok")


def test_a_readable_archive_is_a_failure_and_a_readable_folder_a_warning(run: Run, well: ArchiveBuilder) -> None:
    """Neither means that the storage failed: the code is that of open findings, or none."""
    well.path.chmod(0o644)
    told = offline(run, well)
    assert told.code == 3
    assert line(told, f"{well.path} can be read") == ("fail", f"chmod 600 {well.path}: it holds invoices")
    well.path.chmod(0o600)
    well.folder.chmod(0o755)
    told = offline(run, well)
    assert told.code == 0
    assert line(told, f"{well.folder} can be read") == (
        "warn",
        f"chmod 700 {well.folder}, unless other users need it",
    )


def test_a_shared_folder_is_not_to_be_made_private(run: Run, well: ArchiveBuilder) -> None:
    """Following that advice for /tmp would lock out all other users."""
    well.folder.chmod(0o1777)
    told = offline(run, well)
    assert line(told, f"{well.folder} can be read") == (
        "warn",
        "put the archive into its own folder: this one is shared by all users",
    )


def test_a_file_with_secrets_that_everybody_can_read_is_a_warning(run: Run, well: ArchiveBuilder) -> None:
    well.config.chmod(0o644)
    (well.folder / "pass").write_text("canary-filed\n")
    (well.folder / "pass").chmod(0o604)
    told = offline(run, well)
    assert line(told, f"{well.config} can be read") == ("warn", f"chmod o= {well.config}: it contains secrets")
    text = well.config.read_text().replace('password = "canary-acme"', f'password_file = "{well.folder}/pass"')
    well.config.write_text(text.replace('heartbeat_url = "https://monitor.example/canary-ping"', ""))
    told = offline(run, well)
    assert f"{well.config} can be read" not in told.out, "there is no secret in it any more"
    assert line(told, f"{well.folder}/pass can be read")[0] == "warn"
    (well.folder / "pass").chmod(0o640)
    assert "pass can be read" not in offline(run, well).out, "a group may be how the service reads it"


@NOT_ROOT
def test_a_folder_that_cannot_be_written_is_a_failure(run: Run, well: ArchiveBuilder) -> None:
    well.folder.chmod(0o500)
    try:
        told = offline(run, well)
    finally:
        well.folder.chmod(0o700)
    assert told.code == 74
    assert line(told, "archive: ")[0] == "fail"


@pytest.mark.parametrize(
    ("key", "mark", "code"), [("min_free_bytes = 0", "fail", 74), ("free_margin_bytes = 0", "warn", 0)]
)
def test_a_full_disk_is_a_failure_and_a_nearly_full_disk_a_warning(
    run: Run, well: ArchiveBuilder, key: str, mark: str, code: int
) -> None:
    well.config.write_text(well.config.read_text().replace(key, f"{key[:-1]}999_999_999_999_999"))
    told = offline(run, well)
    assert told.code == code
    marks = {one[:4].strip() for one in told.out.splitlines() if "archive: " in one and " free" in one}
    assert marks == {mark}


def test_alerts_without_their_extra_are_a_wrong_configuration(
    run: Run, well: ArchiveBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels_module, "EXTRA", "a_package_that_nobody_has")
    well.configure(top='[alerts]\nurls = ["json://127.0.0.1/canary-hook"]\n')
    told = offline(run, well)
    assert told.code == 2
    assert "easytracking-sync[alerts]" in told.out
    assert "canary" not in told.out


def test_a_wrong_key_is_one_line(run: Run, well: ArchiveBuilder) -> None:
    well.config.write_text(well.config.read_text().replace("username", "usrname"))
    told = run("--config", well.config, "check")
    assert told.code == 2
    (said,) = told.out.splitlines()
    assert said.startswith(f"fail  configuration: {well.config}: accounts.acme.usrname is not a key; did you mean ")


def test_checking_an_archive_with_documents_changes_nothing(run: Run, well: ArchiveBuilder) -> None:
    well.document("acme", 1, DocumentState.DISCOVERED)
    before = well.path.read_bytes()
    assert offline(run, well).code == 0
    assert well.path.read_bytes() == before


@contextmanager
def tls_server(certificate: Path, key: Path) -> Iterator[int]:
    """A server that shows this certificate; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    stop = threading.Event()
    with socket.create_server(("localhost", 0)) as listening:
        listening.settimeout(0.02)

        def answer() -> None:
            while not stop.is_set():
                with contextlib.suppress(OSError):  # nobody calls, or hangs up on what it does not trust
                    connection, _ = listening.accept()
                    connection.settimeout(5)
                    with context.wrap_socket(connection, server_side=True):
                        pass

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def signed(folder: Path, flaw: str) -> tuple[Path, Path]:
    """A certificate for localhost with this flaw and its key, as PEM files."""
    lasts = timedelta(days=-1 if flaw == "expired" else 1)
    return self_signed(folder, host="elsewhere.example" if flaw == "name" else "localhost", lasts=lasts)
