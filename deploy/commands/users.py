"""`patchline users`: who may sign in to the console."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from deploy.commands.options import SetFlags, SettingsFile, load
from monitoring.console.accounts import Accounts
from monitoring.console.roles import Role
from monitoring.record.database import Database

PASSWORD_VARIABLE = "PATCHLINE_PASSWORD"  # noqa: S105 -- a variable's name

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the person signs in by.")]
RoleOption = Annotated[Role, typer.Option("--role", help="viewer looks, operator answers, engineer changes banks.")]


def list_users(*, settings: SettingsFile = None, flags: SetFlags = None) -> None:
    """List the accounts and their roles."""
    with _accounts(settings, flags) as accounts:
        found = accounts.all()
    table = Table("name", "role")
    for each in found:
        table.add_row(each.name, each.role.value)
    Console().print(table if found else "No account yet: patchline users add NAME --role operator")


def add(*, name: Name, role: RoleOption, settings: SettingsFile = None, flags: SetFlags = None) -> None:
    """Make an account, or give one another role and password.

    The password is asked for, or taken from PATCHLINE_PASSWORD.
    """
    password = os.environ.get(PASSWORD_VARIABLE) or typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    with _accounts(settings, flags) as accounts:
        accounts.add(name, role, password, at=datetime.now(UTC))
    Console().print(f"{name} may sign in as {role.value}.", highlight=False)


def remove(*, name: Name, settings: SettingsFile = None, flags: SetFlags = None) -> None:
    """Remove an account; whoever uses it is signed out."""
    with _accounts(settings, flags) as accounts:
        accounts.remove(name)
    Console().print(f"{name} may sign in no more.", highlight=False)


@contextmanager
def _accounts(settings: SettingsFile, flags: SetFlags) -> Iterator[Accounts]:
    with Database.open(load(settings, flags).record.database) as database:
        yield Accounts(database)
