"""The sheet as one HTML page: escaped, without scripts and without anything that is loaded from elsewhere.

The only module that knows Jinja2. Texts stand in `<bdi>`, so that none turns its neighbours around.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, StrictUndefined, Template

from easytracking_sync.invoices.sheets.sheet import Sheet, mapped

_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def print_page(sheet: Sheet) -> str:
    """The page. It may be served under the strictest content security policy that allows inline styles."""
    clean = mapped(sheet, lambda text: _CONTROLS.sub("", text))
    return _template().render(sheet=clean, blocks=[(type(block).__name__, block) for block in clean.blocks])


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
