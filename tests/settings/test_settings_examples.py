"""The files in config/ load, and the first of them explains every key with its true default."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from easytracking_sync.bundled import bundled_folder
from easytracking_sync.settings import load_settings
from easytracking_sync.settings.display import leaves

if TYPE_CHECKING:
    from tests.settings.conftest import Bench

EXAMPLES = bundled_folder("config")
EXPLAINED = EXAMPLES / "easytracking-sync.toml"
COMMENTED_KEY = re.compile(r"^# (?=[a-z_]+ = )", re.MULTILINE)


def test_bundled_folders_are_found_in_the_checkout() -> None:
    assert bundled_folder("config") == Path(__file__).parents[2] / "config"


@pytest.mark.parametrize("file", sorted(EXAMPLES.iterdir()), ids=lambda file: file.name)
def test_every_example_loads_with_passwords(file: Path) -> None:
    labels = tomllib.loads(file.read_text(encoding="utf-8")).get("accounts", {"solo": {}})
    environ = {f"EASYTRACKING_ACCOUNTS__{label}__PASSWORD".upper(): "p" for label in labels}
    if "solo" in labels:
        environ["EASYTRACKING_ACCOUNTS__SOLO__ENVIRONMENT"] = "varhub-production"
        environ["EASYTRACKING_ACCOUNTS__SOLO__USERNAME"] = "u"
    assert set(load_settings(file, environ).accounts) == set(labels)


def test_every_key_is_in_the_example_with_its_default(bench: Bench) -> None:
    text = EXPLAINED.read_text(encoding="utf-8")
    explained = COMMENTED_KEY.sub("", text)
    assert bench.load(explained).redacted() == bench.load(text).redacted()
    assert set(leaves(tomllib.loads(explained))) == set(leaves(bench.load(text).redacted()))


def test_every_key_has_an_explanation_above_it() -> None:
    lines = EXPLAINED.read_text(encoding="utf-8").splitlines()
    bare = [line for above, line in pairwise(lines) if COMMENTED_KEY.match(line) and not above]
    assert bare == []
