"""The commands `palate user ...`: the first admin, further people, links, new passwords.

Passwords are asked for and never stand on the command line; without a terminal the first line of
standard input is one.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from workers.terminal import Home, opened, sentences

users_app = typer.Typer(help="The people of a studio.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name, once in a studio.")]
Role = Annotated[str, typer.Option(help="annotator, researcher or admin.")]


@users_app.command("list")
def list_users(home: Home = None) -> None:
    """Everybody who has labelled or may come in."""
    from backend.services import accounts, users

    with sentences(), opened(home) as studio:
        known = {row["id"]: row for row in accounts.rows(studio)}
        for row in users.rows(studio):
            account = known.get(row["id"])
            state = "cannot sign in" if account is None else "closed" if account["disabled"] else ""
            typer.echo(
                f"{row['id']:>4}  {row['name']:<24} {row['kind']:<10} {row['role']:<10} {state}"
            )


@users_app.command("add")
def add_user(
    name: Name,
    role: Role = "annotator",
    email: Annotated[
        str, typer.Option(help="Lets them sign in with the provider that confirms it.")
    ] = "",
    password: Annotated[
        bool, typer.Option(help="Ask for a password; without, --email is needed.")
    ] = True,
    home: Home = None,
) -> None:
    """Add a person who can sign in; asks for the password."""
    from backend.services import accounts

    with sentences(), opened(home) as studio:
        accounts.check(name.strip(), role)
        row = accounts.add(studio, name, role, _asked() if password else "", email=email)
        typer.echo(f"Added {row['name']} ({row['role']}). From now on people sign in.")


@users_app.command("invite")
def invite(
    role: Role = "annotator",
    study: Annotated[
        list[int] | None, typer.Option(help="The only studies they may judge.")
    ] = None,
    note: Annotated[str, typer.Option(help="For whom it is.")] = "",
    days: Annotated[float, typer.Option(help="How long the link holds.")] = 7.0,
    address: Annotated[
        str, typer.Option(help="Where people reach the studio.", show_default="host and port")
    ] = "",
    home: Home = None,
) -> None:
    """Print a link that lets one person in."""
    from backend.services import invites
    from workers.up import address as own_address

    with sentences(), opened(home) as studio:
        wanted = invites.NewInvite(role, tuple(study or ()), note, days)
        made = invites.make(studio, None, wanted)
        base = address.rstrip("/") or own_address(studio.settings)
        typer.echo(f"{base}/join/{made['secret']}")
        typer.echo(f"For one {role}, for {days:g} days. It is shown this once.", err=True)


@users_app.command("password")
def new_password(name: Name, home: Home = None) -> None:
    """Give somebody a new password, and end where they are signed in."""
    from backend.services import accounts

    with sentences(), opened(home) as studio:
        row = accounts.by_name(studio, name)
        accounts.set_password(studio, row["id"], _asked())
        typer.echo(f"{name} has a new password.")


@users_app.command("role")
def change_role(name: Name, role: str, home: Home = None) -> None:
    """Give somebody another role."""
    from backend.services import accounts

    with sentences(), opened(home) as studio:
        accounts.change(studio, None, accounts.by_name(studio, name)["id"], role=role)
        typer.echo(f"{name} is {role}.")


@users_app.command("close")
def close(name: Name, home: Home = None) -> None:
    """Close an account; what its owner judged stays."""
    _change(name, home, disabled=True)


@users_app.command("open")
def reopen(name: Name, home: Home = None) -> None:
    """Open a closed account again."""
    _change(name, home, disabled=False)


def _change(name: str, home: Home, *, disabled: bool) -> None:
    from backend.services import accounts

    with sentences(), opened(home) as studio:
        accounts.change(studio, None, accounts.by_name(studio, name)["id"], disabled=disabled)
        typer.echo(f"The account of {name} is {'closed' if disabled else 'open'}.")


def _asked() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
