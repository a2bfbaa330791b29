"""Who may sign in: names, roles and hashed passwords, in the history's database."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, insert, select, update

from monitoring.console.roles import Role
from monitoring.record.schema import secrets as secret_values
from monitoring.record.schema import users

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from monitoring.record.database import Database

FEWEST_CHARACTERS = 10
TRIES, WITHIN_SECONDS = 5, 300.0
"""Wrong passwords of one name, after which it is refused for the rest of that time."""
COOKIE_KEY = "cookie"


class BadAccount(ValueError):
    """An account that cannot be made or changed; the text says why."""


@dataclass(frozen=True)
class Account:
    """A person who may sign in."""

    name: str
    role: Role


class Accounts:
    """The accounts in a database. Any thread may use it."""

    def __init__(self, database: Database, hasher: PasswordHasher | None = None) -> None:
        self._database = database
        self._hasher = hasher or PasswordHasher()
        self._nobody = self._hasher.hash(secrets.token_urlsafe())

    def add(self, name: str, role: Role, password: str, *, at: datetime) -> None:
        """Make an account, or give one another role and password.

        Raises BadAccount for an empty name or a short password, DatabaseError.
        """
        if not name.strip() or len(name) > 100 or not name.isprintable():  # noqa: PLR2004 -- the column's length
            raise BadAccount("a name has 1 to 100 printable characters")
        if len(password) < FEWEST_CHARACTERS:
            raise BadAccount(f"a password has at least {FEWEST_CHARACTERS} characters")
        hashed = self._hasher.hash(password)
        with self._database.writing() as connection:
            there = connection.execute(select(users.c.name).where(users.c.name == name)).one_or_none()
            values = {"role": role.value, "password_hash": hashed}
            if there is None:
                connection.execute(insert(users).values(name=name, created_at=at, **values))
            else:
                connection.execute(update(users).where(users.c.name == name).values(**values))

    def remove(self, name: str) -> None:
        """Remove an account; whoever is signed in by it is signed out. Raises BadAccount where there is none."""
        with self._database.writing() as connection:
            if not connection.execute(delete(users).where(users.c.name == name)).rowcount:
                raise BadAccount(f"there is no account {name}")

    def all(self) -> list[Account]:
        """By name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(users.c.name, users.c.role).order_by(users.c.name)).all()
        return [Account(name, Role(role)) for name, role in rows]

    def find(self, name: str) -> Account | None:
        """The account of a name."""
        return next((each for each in self.all() if each.name == name), None)

    def checked(self, name: str, password: str) -> Account | None:
        """The account, where the password is its own. An unknown name takes as long to refuse as a wrong password."""
        with self._database.reading() as connection:
            row = connection.execute(select(users).where(users.c.name == name)).one_or_none()
        try:
            self._hasher.verify(self._nobody if row is None else row.password_hash, password)
        except (VerificationError, InvalidHashError):
            return None
        return None if row is None else Account(row.name, Role(row.role))

    def cookie_key(self) -> str:
        """What session cookies are signed with; made once."""
        wanted = select(secret_values.c.value).where(secret_values.c.name == COOKIE_KEY)
        with self._database.writing() as connection:
            found = connection.execute(wanted).scalar_one_or_none()
            if found is None:
                found = secrets.token_urlsafe(48)
                connection.execute(insert(secret_values).values(name=COOKIE_KEY, value=found))
        return str(found)


class LoginTries:
    """Counts wrong passwords of each name, so that nobody guesses for long."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=TRIES))
        self._lock = Lock()

    def refused(self, name: str) -> bool:
        """Whether there were too many of late."""
        with self._lock:
            times = self._wrong.get(name)
            return times is not None and len(times) == TRIES and self._clock() - times[0] < WITHIN_SECONDS

    def wrong(self, name: str) -> None:
        """One more."""
        with self._lock:
            if len(self._wrong) > 10_000:  # noqa: PLR2004 -- names are whatever somebody types
                self._wrong.clear()
            self._wrong[name].append(self._clock())

    def right(self, name: str) -> None:
        """The person knows it."""
        with self._lock:
            self._wrong.pop(name, None)
