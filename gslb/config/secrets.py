"""Secrets: written as a text, or read from a file or an environment variable.

No complaint, warning or log line shows one: it says where the secret stands and what it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import model_validator

from gslb.config import scalars
from gslb.config.fields import FilePath, Keys, SecretText, Text, field
from gslb.config.nodes import At, Sheet, shown
from gslb.config.scalars import ScalarError
from gslb.config.yamlfile import UnreadableError, read_bytes

T = TypeVar("T")

KEY_CHARS_MIN = 16


class SecretSpec(Keys):
    """Where a secret is."""

    text: SecretText | None = field(None, "The secret itself.")
    file: FilePath | None = field(None, "File that holds the secret.")
    env: Text | None = field(None, "Environment variable that holds the secret.")

    @model_validator(mode="before")
    @classmethod
    def _one_source(cls, value: object) -> object:
        # What it names instead is not shown: it may be the secret.
        if isinstance(value, dict) and list(value) not in (["text"], ["file"], ["env"]):
            raise ScalarError("names no single source", "write either {file: PATH} or {env: NAME}")
        return value


def short(value: object) -> object:
    """Return the map that a secret written as a text stands for."""
    return {"text": value} if not isinstance(value, dict | None) else value


@dataclass(frozen=True, slots=True)
class SecretReader:
    """Reads secrets; `named` turns a path written in the file into one from here.

    Where they are not needed, nothing is said of one that is not there.
    """

    named: Callable[[str], Path]
    environ: Mapping[str, str]
    is_needed: bool = True

    def read(self, spec: SecretSpec | None, at: At, means: Callable[[object], T]) -> T | None:
        """Return what the secret *spec* means; None, and a complaint at *at*, if it is wrong."""
        if spec is None:
            return None
        if not self.is_needed:
            at = _spare(at)
        if spec.text is not None:
            step, found, source = "text", spec.text, ""
        elif spec.env is not None:
            step, source = "env", spec.env
            if (value := self.environ.get(spec.env)) is None:
                hint = "set it before gslb starts, or write {file: PATH}"
                (at / "env").wrong(f"there is no environment variable {shown(spec.env)}", hint)
                return None
            found = value
        elif spec.file is not None:
            path = self.named(spec.file)
            step, source = "file", str(path)
            try:
                found = read_bytes(path).decode("utf-8-sig", "replace").strip()
            except UnreadableError as error:
                (at / "file").wrong(f"{path} {error.problem}", error.hint)
                return None
        else:
            at.wrong("names no secret", "write either {file: PATH} or {env: NAME}")
            return None
        try:
            return means(found)
        except ScalarError as error:
            what = f"what {source} holds {error.problem}" if source else error.problem
            (at / step).wrong(what, error.hint)
            return None

    def read_if_there(
        self, spec: SecretSpec | None, at: At, means: Callable[[object], T]
    ) -> T | None:
        """Return what the secret *spec* means, or None: it is not needed here."""
        return self.read(spec, _spare(at), means)


def _spare(at: At) -> At:
    """Return the same place on a sheet that nobody reads."""
    return At(Sheet(at.sheet.file), at.node, at.path)


def key(value: object) -> bytes:
    """Return a key that authenticates what travels; never shows it.

    A short one could be found by trying all there are on a single recorded message.
    """
    found = scalars.token(value)
    if len(found) < KEY_CHARS_MIN:
        problem = f"is shorter than {KEY_CHARS_MIN} characters, so that it could be guessed"
        raise ScalarError(problem, "`openssl rand -hex 32` prints a good one")
    return found.encode("ascii")
