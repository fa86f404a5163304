"""What the nameserver protects others and itself with: secrets of cookies, and the rate limiter.

Secrets that nobody wrote down are the node's own.  They are kept in `state_dir`, for its user
alone, so that cookies outlive a restart, and rolled once a day: the one before stays accepted.
Whatever becomes of the disk, the node answers with what it has in memory.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gslb.config.settings import Config
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events
from gslb.daemons.store import write_whole
from gslb.dns.cookie import SECRET_BYTES
from gslb.model import RateLimit
from gslb.routing.ratelimit import Limiter

log = logging.getLogger("gslb.protection")

FILE = "cookie-secrets.json"
MODE = 0o600
ROLL_S = 86_400.0
QUIET_S = 60.0  # without an answer above its rate, until limiting counts as over

_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class OwnSecrets:
    """Secrets that the node made, the active one first, and when that was, in s since 1970."""

    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    made_s: float = 0.0

    def rolled(self, now_s: float) -> OwnSecrets:
        """Return these with a new active secret if it is time, or else themselves."""
        if self.secrets and 0.0 <= now_s - self.made_s < ROLL_S:
            return self
        return OwnSecrets((secrets.token_bytes(SECRET_BYTES), *self.secrets[:1]), now_s)


def load(folder: Path) -> OwnSecrets:
    """Return the secrets in *folder*; none when there are none that can be read."""
    path = folder / FILE
    try:
        whole = json.loads(path.read_bytes())
        found = tuple(bytes.fromhex(each) for each in whole["secrets"])
        if not found or {len(each) for each in found} != {SECRET_BYTES}:
            raise ValueError("no secrets, or of another length")
        return OwnSecrets(found, float(whole["made_s"]))
    except FileNotFoundError:
        pass
    except OSError as error:
        log.warning("cannot read %s, making new secrets: %s", path, error)
    except _UNREADABLE:
        log.warning("%s holds no secrets, making new ones", path)  # what it holds is not shown
    return OwnSecrets()


def save(folder: Path, own: OwnSecrets) -> OSError | None:
    """Write *own* to *folder*; return what was in the way."""
    whole = {"made_s": own.made_s, "secrets": [each.hex() for each in own.secrets]}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / FILE, json.dumps(whole).encode(), mode=MODE)
    except OSError as error:
        return error
    return None


class Protection:
    """What is in force: `secrets` and `limiter` are read for each query, and replaced whole."""

    def __init__(
        self, config: Config, counters: Counters, events: Events, own: OwnSecrets, now_s: float
    ) -> None:
        self._counters = counters
        self._events = events
        self.own = self._saved = own
        self._failure: str | None = None
        self.secrets: tuple[bytes, ...] = ()
        self.limiter: Limiter | None = None
        self.serve: Callable[[Protection], None] = lambda _: None  # told of what is replaced
        self._seen = 0  # answers above their rate so far
        self._last_s: float | None = None  # when there were some last, while that is going on
        self._before = 0  # how many there had been when it began
        self.adopt(config, now_s)

    def adopt(self, config: Config, now_s: float) -> None:
        """Protect as *config* says from now on; buckets stay while their rule does."""
        self._config = config
        if self.rule != config.rate_limit:
            rule = config.rate_limit
            self.limiter = None if rule is None else Limiter(rule, secrets.randbits(64))
        self._take_secrets(now_s)
        self.serve(self)

    @property
    def rule(self) -> RateLimit | None:
        """The rule of rate limiting; None where nothing is limited."""
        return None if self.limiter is None else self.limiter.rule

    def roll(self, now_s: float) -> None:
        """Make the node's own secrets new if it is time."""
        before = self.secrets
        self._take_secrets(now_s)
        if self.secrets != before:
            self.serve(self)

    def _take_secrets(self, now_s: float) -> None:
        cookies = self._config.cookies
        if not cookies.enabled:
            self.secrets = ()
        elif cookies.secrets is not None:
            self.secrets = cookies.secrets
        else:
            self.own = self.own.rolled(now_s)
            self.secrets = self.own.secrets

    @property
    def unsaved(self) -> OwnSecrets | None:
        """The node's own secrets if they are to be written to `state_dir`."""
        return None if self.own is self._saved else self.own

    def saved(self, own: OwnSecrets, error: OSError | None) -> None:
        """Hear how writing *own* went; what cannot be written is told of once, and tried again."""
        failure = None if error is None else str(error)
        if failure is None:
            self._saved = own
        else:
            self._counters.events["gslb_state_write_failures"] += 1
            if failure != self._failure:
                self._events.announce("secrets_failed", error=failure)
        self._failure = failure

    def look(self, now_s: float) -> None:
        """Announce when answers begin to be above their rate, and when that is over."""
        if self.rule is None and self._last_s is None:
            return
        before, self._seen = self._seen, self._counters.total().limited.total()
        if self._seen != before:
            if self._last_s is None:
                self._before = before
                self._events.announce("rate_limiting", answers=self._seen - before)
            self._last_s = now_s
        elif self._last_s is not None and now_s - self._last_s >= QUIET_S:
            self._events.announce("rate_limiting_over", answers=self._seen - self._before)
            self._last_s = None
