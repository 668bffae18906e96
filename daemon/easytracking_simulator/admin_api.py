"""The simulator's own API under /_simulator/: its true content and its faults, as JSON. Without authentication."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from easytracking_simulator.calls import BadInputError, object_of
from easytracking_simulator.faults import Fault, Faults, Kind, Rate
from easytracking_simulator.http_messages import Reply, Request, bad_request, json_reply
from easytracking_simulator.simulator import Simulator

PREFIX = "/_simulator/"
SETS = ("refused", "unmarkable", "still_listed")


class Admin:
    """Answers requests whose path begins with PREFIX; an invalid one by a 400 with a message."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._routes: tuple[tuple[str, str, Callable[..., Any]], ...] = (
            ("GET", r"health", self._health),
            ("GET", r"accounts", self._accounts),
            ("GET", r"documents", self._documents),
            ("GET", r"documents/(\d+)", self._document),
            ("GET", r"documents/(\d+)/files/(\d+)", self._file),
            ("POST", r"documents", self._add),
            ("POST", r"documents/(\d+)/change", self._change),
            ("POST", r"documents/(\d+)/withdraw", self._withdraw),
            ("POST", r"phase", self._phase),
            ("GET", r"calls", self._calls),
            ("GET", r"journal", self._journal),
            ("GET", r"faults", self._show_faults),
            ("POST", r"faults", self._faults),
            ("POST", r"script", self._script),
            ("POST", r"calm", self._clear_faults),
            ("POST", r"tokens/revoke", self._revoke),
        )

    def answer(self, request: Request) -> Reply:
        path = request.path.removeprefix(PREFIX).rstrip("/")
        for method, pattern, act in self._routes:
            if request.method == method and (found := re.fullmatch(pattern, path)):
                try:
                    answer = act(*(found.groups()), **({"given": object_of(request)} if method == "POST" else {}))
                except KeyError as error:
                    return json_reply({"message": f"there is no {error}"}, 404)
                except (BadInputError, ValueError, TypeError, AttributeError, binascii.Error) as error:
                    return bad_request(str(error))
                return answer if isinstance(answer, Reply) else json_reply(answer)
        return json_reply({"message": "no such path", "paths": [f"{m} {PREFIX}{p}" for m, p, _ in self._routes]}, 404)

    def _health(self) -> Any:
        return {"ok": True}

    def _accounts(self) -> Any:
        return [dataclasses.asdict(account) for account in self._simulator.accounts]

    def _documents(self) -> Any:
        return [dataclasses.asdict(document) for document in self._simulator.truth()]

    def _document(self, doc_id: str) -> Any:
        return dataclasses.asdict(self._simulator.true_document(int(doc_id)))

    def _file(self, doc_id: str, ordinal: str) -> Reply:
        files = self._simulator.files(int(doc_id))
        if int(ordinal) >= len(files):
            raise KeyError(f"file {ordinal} of {doc_id}")
        return Reply(200, (("Content-Type", "application/octet-stream"),), files[int(ordinal)].body)

    def _add(self, given: Mapping[str, Any]) -> Any:
        received = given.get("received_at")
        added = self._simulator.add_document(
            given["account"],
            _files(given.get("files")),
            doc_id=given.get("id"),
            received_at=datetime.fromisoformat(received) if received else None,
            **given.get("fields", {}),
        )
        return {"id": added}

    def _change(self, doc_id: str, given: Mapping[str, Any]) -> Any:
        self._simulator.change_document(int(doc_id), _files(given.get("files")), **given.get("fields", {}))
        return {"id": int(doc_id)}

    def _withdraw(self, doc_id: str, given: Mapping[str, Any]) -> Any:
        self._simulator.withdraw(int(doc_id))
        return {"id": int(doc_id), **given}

    def _phase(self, given: Mapping[str, Any]) -> Any:
        if given["phase"] not in {1, 2}:
            raise ValueError("phase is 1 or 2")
        self._simulator.set_phase(given["phase"], [int(doc_id) for doc_id in given["ids"]], on=bool(given["on"]))
        return {"marked": len(self._simulator.marked(given["phase"]))}

    def _calls(self) -> Any:
        rows = [
            {"call": call, "account": account, "status": status, "count": count}
            for (call, account, status), count in sorted(self._simulator.counts().items())
        ]
        return {"calls": rows, "lapses": self._simulator.lapses(), "open_jobs": len(self._simulator.open_jobs())}

    def _journal(self) -> Any:
        return [
            {"at": entry.at.isoformat(), "call": entry.call, "account": entry.account, "status": entry.status,
             "ids": entry.ids, "fault": entry.fault.kind if entry.fault else None}
            for entry in self._simulator.journal()
        ]  # fmt: skip

    def _show_faults(self) -> Any:
        return {"standing": faults_as_json(self._simulator.faults), "scripted": self._simulator.scripted()}

    def _faults(self, given: Mapping[str, Any]) -> Any:
        self._simulator.faults = faults_from_json(given)
        return self._show_faults()

    def _script(self, given: Mapping[str, Any]) -> Any:
        fault = fault_from_json(given["fault"]) if given.get("fault") is not None else None
        self._simulator.script(given["call"], fault, times=int(given.get("times", 1)), account=given.get("account"))
        return {"scripted": self._simulator.scripted()}

    def _clear_faults(self, given: Mapping[str, Any]) -> Any:
        self._simulator.clear_faults()
        return {"calm": True, **given}

    def _revoke(self, given: Mapping[str, Any]) -> Any:
        self._simulator.revoke_tokens()
        return {"revoked": True, **given}


def _files(given: Mapping[str, Mapping[str, str]] | None) -> dict[str, tuple[str, bytes]] | None:
    """`{"FA": {"name": …, "base64": …}}`."""
    if given is None:
        return None
    return {kind: (file["name"], base64.b64decode(file["base64"], validate=True)) for kind, file in given.items()}


def fault_from_json(given: Mapping[str, Any]) -> Fault:
    """A fault from its field names; `body` is text. ValueError or TypeError for invalid values."""
    values = dict(given)
    values["kind"] = Kind(values["kind"])
    if "body" in values:
        values["body"] = values["body"].encode()
    if "ids" in values:
        values["ids"] = tuple(values["ids"])
    return Fault(**values)


def faults_from_json(given: Mapping[str, Any]) -> Faults:
    values: dict[str, Any] = {**given, **{name: frozenset(given[name]) for name in SETS if name in given}}
    if "always" in given:
        values["always"] = {call: fault_from_json(fault) for call, fault in given["always"].items()}
    if "spoilt" in given:
        values["spoilt"] = {int(doc_id): fault_from_json(fault) for doc_id, fault in given["spoilt"].items()}
    if "poison" in given:
        values["poison"] = {
            call: {int(doc_id): fault_from_json(fault) for doc_id, fault in faults.items()}
            for call, faults in given["poison"].items()
        }
    if "rates" in given:
        rates = ({**rate, "fault": fault_from_json(rate["fault"])} for rate in given["rates"])
        values["rates"] = tuple(Rate(**rate) for rate in rates)
    return Faults(**values)


def faults_as_json(faults: Faults) -> dict[str, Any]:
    """The reverse of `faults_from_json`."""

    def plain(fault: Fault) -> dict[str, Any]:
        return {**dataclasses.asdict(fault), "body": fault.body.decode("utf-8", "replace")}

    return {
        "always": {call: plain(fault) for call, fault in faults.always.items()},
        "spoilt": {str(doc_id): plain(fault) for doc_id, fault in faults.spoilt.items()},
        "poison": {
            call: {str(doc_id): plain(fault) for doc_id, fault in documents.items()}
            for call, documents in faults.poison.items()
        },
        "rates": [{"call": rate.call, "chance": rate.chance, "fault": plain(rate.fault)} for rate in faults.rates],
        **{name: sorted(getattr(faults, name)) for name in SETS},
        "list_cap": faults.list_cap,
    }
