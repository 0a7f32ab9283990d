"""Who may come in: accounts, sign-ins, keys, links, the audit trail, the studio's secrets."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Text
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from db.tables._base import Base, JsonDict, key, now


class Account(Base):
    """How a person signs in, and which studies are theirs. Who has none only gave labels."""

    __tablename__ = "account"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    password: Mapped[str | None] = mapped_column(default=None)  # Argon2id with its parameters
    email: Mapped[str] = mapped_column(default="", server_default="")
    subject: Mapped[str | None] = mapped_column(unique=True, default=None)
    # whom the OIDC provider means: issuer|sub
    studies: Mapped[list[Any]] = mapped_column(default=list, server_default=sql("'[]'"))
    # ids of the only studies this person may judge; empty: as everybody
    disabled_at: Mapped[float | None] = mapped_column(default=None)
    created_at: Mapped[float] = now()


class SignIn(Base):
    """A browser that has signed in, by the SHA-256 of what its cookie holds."""

    __tablename__ = "sign_in"
    digest: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    address: Mapped[str] = mapped_column(default="", server_default="")
    browser: Mapped[str] = mapped_column(Text, default="", server_default="")
    created_at: Mapped[float] = now()
    expires_at: Mapped[float]


class Token(Base):
    """A key for programs, by the SHA-256 of it; it may do what its scopes and its owner may."""

    __tablename__ = "token"
    id: Mapped[int] = key()
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    name: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[Any]]  # of read, label, write, admin
    created_at: Mapped[float] = now()
    expires_at: Mapped[float | None] = mapped_column(default=None)
    used_at: Mapped[float | None] = mapped_column(default=None)
    revoked_at: Mapped[float | None] = mapped_column(default=None)


class Invite(Base):
    """A link that lets one person in once, or lets one who is in choose a new password."""

    __tablename__ = "invite"
    id: Mapped[int] = key()
    digest: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    studies: Mapped[list[Any]] = mapped_column(default=list)
    note: Mapped[str] = mapped_column(default="")
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"), default=None)
    # whose password it renews; None: a new person
    made_by: Mapped[int | None] = mapped_column(ForeignKey("user.id"), default=None)
    created_at: Mapped[float] = now()
    expires_at: Mapped[float]
    used_at: Mapped[float | None] = mapped_column(default=None)
    revoked_at: Mapped[float | None] = mapped_column(default=None)


class Audit(Base):
    """Who changed what of people, roles, keys, studies and what left the studio. Append-only."""

    __tablename__ = "audit"
    id: Mapped[int] = key()
    at: Mapped[float] = now()
    user_id: Mapped[int | None] = mapped_column(default=None)  # None: the command line
    who: Mapped[str]  # the name at that time
    action: Mapped[str] = mapped_column(index=True)
    text: Mapped[str] = mapped_column(Text)
    detail: Mapped[JsonDict] = mapped_column(default=dict)


class Secret(Base):
    """A random key of this studio, made once, in hexadecimal."""

    __tablename__ = "secret"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
