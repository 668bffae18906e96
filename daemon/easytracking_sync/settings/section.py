"""What every table of the configuration shares: frozen, no unknown keys, secrets that may lie in a file."""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from easytracking_sync.settings import display, validators


def refuse_together(problems: list[tuple[str, str]]) -> None:
    """Raise one pydantic error for several (key below this section, what is wrong with it); none if there is none."""
    if problems:
        raise PydanticCustomError("problems", "problems", {"problems": problems})


class Section(BaseModel):
    """A table of the configuration; unknown keys are errors, and secrets named in `in_files` may lie in a file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    in_files: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _read_secrets(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        complete, problems = dict(given), []
        for key in cls.in_files:
            file = given.get(f"{key}_file")
            if not file or not isinstance(file, (str, Path)):
                continue
            if given.get(key):
                problems.append((f"{key}_file", f"cannot stand beside {key}: give one of the two"))
                continue
            try:
                complete[key] = validators.read_secret(Path(file))
            except ValueError as error:
                problems.append((f"{key}_file", f"names {display.quoted(Path(file))}, which {error}"))
        refuse_together(problems)
        return complete
