"""A small real OpenID Connect provider over HTTP on loopback: code flow with PKCE, ES256 keys.

It checks what a provider checks (client, redirect address, verifier of the code), so that a client
that leaves a part out fails here as it would elsewhere. Who signs in is whoever the test says.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

CLIENT, SECRET = "palate", "the studio's secret"


@dataclass
class Provider:
    """Who is signed in there, and what was asked of it."""

    person: dict[str, Any] = field(default_factory=dict)
    """Claims of whoever signs in next: sub, email, email_verified, name."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Claims of the ID token that a test spoils: iss, aud, exp, nonce."""
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "1"}))
    signing_key: ECKey | None = None
    """Another key than the published one, when a test forges."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    issuer: str = ""

    def document(self) -> dict[str, str]:
        """What a provider says of itself."""
        parts = {
            "authorization_endpoint": "authorize",
            "token_endpoint": "token",
            "jwks_uri": "keys",
        }
        found = {name: f"{self.issuer}/{path}" for name, path in parts.items()}
        return {"issuer": self.issuer, **found}

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser goes back to, with a code."""
        assert asked["client_id"] == CLIENT and asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256" and "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, asked: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """The ID token for a code, once; None when something does not fit."""
        begun = self.codes.pop(asked.get("code", ""), None)
        known = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        challenge = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        if (
            begun is None
            or known != f"{CLIENT}:{SECRET}"
            or asked["redirect_uri"] != begun["redirect_uri"]
            or base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() != begun["code_challenge"]
        ):
            return None
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 3600}
        claims |= {"nonce": begun["nonce"], **self.person, **self.changes}
        header = {"alg": "ES256", "kid": "1"}
        signed = jwt.encode(header, claims, self.signing_key or self.key)
        return {"access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": signed}


@contextmanager
def running() -> Iterator[Provider]:
    """A provider that listens."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Its document, its keys, and the page where one signs in (it lets everybody in)."""
            url = urlsplit(self.path)
            if url.path == "/authorize":
                asked = {name: values[0] for name, values in parse_qs(url.query).items()}
                self.send_response(302)
                self.send_header("Location", provider.authorize(asked))
                self.end_headers()
            elif url.path == "/keys":
                self.answer({"keys": [provider.key.as_dict(private=False)]})
            else:
                self.answer(provider.document())

        def do_POST(self) -> None:
            """The token endpoint."""
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked = {name: values[0] for name, values in parse_qs(text).items()}
            found = provider.token(asked, self.headers.get("Authorization", ""))
            self.answer(found or {"error": "invalid_grant"}, 200 if found else 400)

        def answer(self, body: dict[str, Any], status: int = 200) -> None:
            """JSON."""
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield provider
    server.shutdown()
    server.server_close()
