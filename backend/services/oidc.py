"""Signing in with an OpenID Connect provider: authorisation code with PKCE, through Authlib.

The provider says who somebody is, never what they may. Whoever it names comes in if an account
knows that subject, or the verified e-mail address that an admin gave to an account; by an
invitation; or, if `PALATE_OIDC_ROLE` says so, as a new person in that role.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import OAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from backend.errors import Conflict, EnvironmentProblem, Forbidden, InputError, NotFound
from backend.services import audit, invites, seals, users
from backend.services.studio import Studio
from backend.settings import Settings
from db.tables import Account, User

SCOPE = "openid email profile"
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
LASTS_S = 600
"""How long somebody may take at the provider."""
TIMEOUT_S = 10.0
LONGEST_NAME = 90
LEEWAY_S = 60
"""How far the provider's clock may be off."""


@dataclass(frozen=True)
class Person:
    """Whom the provider names."""

    subject: str
    """issuer|sub: the same for ever."""
    email: str
    """Empty unless the provider has verified it."""
    name: str


def begin(studio: Studio, redirect_uri: str, then: str = "/", invite: str = "") -> tuple[str, str]:
    """(address of the provider, cookie) for a browser that wants to sign in.

    The cookie holds what must be the same when it comes back, sealed.
    """
    chosen = _settings(studio)
    told = {
        "state": secrets.token_urlsafe(24),
        "nonce": secrets.token_urlsafe(24),
        "verifier": secrets.token_urlsafe(48),
        "then": then,
        "invite": invite,
        "until": time.time() + LASTS_S,
    }
    with _client(chosen, redirect_uri) as client:
        address, _state = client.create_authorization_url(
            _provider(chosen)["authorization_endpoint"],
            state=told["state"],
            nonce=told["nonce"],
            code_verifier=told["verifier"],
        )
    return str(address), _sealed(studio, told)


def finish(
    studio: Studio, redirect_uri: str, cookie: str, state: str, code: str
) -> tuple[dict[str, Any], str]:
    """(user, where to go) when the browser is back from the provider."""
    chosen, told = _settings(studio), _opened(studio, cookie)
    if not state or not secrets.compare_digest(state.encode(), str(told["state"]).encode()):
        raise Forbidden("This answer belongs to another try to sign in; begin again.")
    person = _asked(chosen, redirect_uri, told, code)
    return _admitted(studio, person, str(told["invite"])), str(told["then"])


def _asked(chosen: Settings, redirect_uri: str, told: dict[str, Any], code: str) -> Person:
    provider = _provider(chosen)
    try:
        with _client(chosen, redirect_uri) as client:
            token = client.fetch_token(
                provider["token_endpoint"], code=code, code_verifier=told["verifier"]
            )
        keys = KeySet.import_key_set(_get(provider["jwks_uri"]))
        claims = jwt.decode(str(token["id_token"]), keys, algorithms=ALGORITHMS).claims
        jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": provider["issuer"]},
            aud={"essential": True, "value": chosen.oidc_client_id},
            sub={"essential": True},
            exp={"essential": True},
            nonce={"essential": True, "value": told["nonce"]},
        ).validate(claims)
    except (AuthlibBaseError, JoseError, KeyError, ValueError) as error:
        raise Forbidden(
            f"The provider did not confirm who you are ({error}); begin again."
        ) from None
    except httpx.HTTPError as error:
        raise _away(chosen, error) from None
    email = str(claims.get("email", "")) if claims.get("email_verified") is True else ""
    name = str(claims.get("preferred_username") or claims.get("name") or email or claims["sub"])
    shown = "".join(filter(str.isprintable, name)).strip()[:LONGEST_NAME] or "Somebody"
    return Person(f"{provider['issuer']}|{claims['sub']}", email, shown)


def _admitted(studio: Studio, person: Person, invite: str) -> dict[str, Any]:
    """The user this person is, or becomes."""
    known = _known(studio, person)
    if known is not None:
        return known
    if invite:
        name = _free_name(studio, person.name)
        return invites.accept_subject(studio, invite, name, person.subject, person.email)
    role = studio.settings.oidc_role
    if not role:
        raise Forbidden(
            f"{person.name} has no account here; ask an admin for an invitation and open its link."
        )
    try:
        with studio.write() as session:
            user = User(name=_free_name(studio, person.name), kind="person", role=role)
            session.add(user)
            session.flush()
            session.add(Account(user_id=user.id, subject=person.subject, email=person.email))
            audit.note(session, user.id, "people", f"came in by the provider as {role}")
            return users.row(user)
    except IntegrityError:
        raise Conflict("Somebody came in under this name just now; begin again.") from None


def _known(studio: Studio, person: Person) -> dict[str, Any] | None:
    by_subject = select(User, Account).join(Account).where(Account.subject == person.subject)
    by_email = (
        select(User, Account)
        .join(Account)
        .where(Account.email == person.email, Account.subject.is_(None))
    )
    with studio.write() as session:
        found = session.execute(by_subject).one_or_none()
        if found is None and person.email:
            found = session.execute(by_email).one_or_none()
        if found is None:
            return None
        user, account = found
        if account.disabled_at is not None:
            raise Forbidden(f"The account '{user.name}' is closed; ask an admin to open it again.")
        if account.subject is None:
            account.subject = person.subject
            audit.note(session, user.id, "people", "signed in with the provider for the first time")
        return users.row(user)


def _free_name(studio: Studio, wanted: str) -> str:
    """The name, with a number behind it while somebody else has it."""
    with studio.read() as session:
        like = select(User.name).where(User.name.startswith(wanted, autoescape=True))
        taken = set(session.scalars(like))
    taken.add(users.LOCAL)
    names = (wanted if number == 1 else f"{wanted} {number}" for number in range(1, 10_000))
    return next(name for name in names if name not in taken)


def _provider(chosen: Settings) -> dict[str, Any]:
    """What the provider says of itself."""
    issuer = chosen.oidc_issuer.rstrip("/")
    try:
        found: dict[str, Any] = _get(f"{issuer}/.well-known/openid-configuration")
    except (httpx.HTTPError, ValueError) as error:
        raise _away(chosen, error) from None
    if str(found.get("issuer", "")).rstrip("/") != issuer:
        raise EnvironmentProblem(
            f"The provider at '{issuer}' calls itself '{found.get('issuer')}'; set "
            "PALATE_OIDC_ISSUER to what it calls itself."
        )
    return found


def _get(url: str) -> Any:
    return httpx.get(url, timeout=TIMEOUT_S).raise_for_status().json()


def _client(chosen: Settings, redirect_uri: str) -> Any:
    return OAuth2Client(
        chosen.oidc_client_id,
        chosen.oidc_client_secret or None,
        scope=SCOPE,
        redirect_uri=redirect_uri,
        code_challenge_method="S256",
        token_endpoint_auth_method="client_secret_basic" if chosen.oidc_client_secret else "none",
        timeout=TIMEOUT_S,
    )


def _settings(studio: Studio) -> Settings:
    if not studio.settings.asks_provider():
        raise NotFound("This studio asks no provider; sign in with name and password.")
    return studio.settings


def _away(chosen: Settings, error: Exception) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"The provider at '{chosen.oidc_issuer}' does not answer ({error}); sign in with name and "
        "password, or try again."
    )


def _sealed(studio: Studio, told: dict[str, Any]) -> str:
    text = base64.urlsafe_b64encode(json.dumps(told).encode()).decode()
    return f"{text}.{seals.seal(seals.key_of(studio), 'oidc', text)}"


def _opened(studio: Studio, cookie: str) -> dict[str, Any]:
    text, _, sealed = cookie.partition(".")
    if not text or not seals.holds(seals.key_of(studio), sealed, "oidc", text):
        raise InputError("The provider sent you back, but this browser did not begin; begin again.")
    told: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text))
    if told["until"] < time.time():
        raise InputError("That took longer than ten minutes; begin again.")
    return told
