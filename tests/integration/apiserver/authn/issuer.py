"""An OpenID Connect issuer: an HTTPS server with an authority of its own, keys that change, and a count of visits."""

from __future__ import annotations

import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from k8slite.pki import Authority

AUDIENCE = "the-cluster"


class OidcIssuer:
    """Signs tokens, and publishes the keys that verify them."""

    def __init__(self, authority: Authority, port: int) -> None:
        self.authority = authority
        self.url = f"https://localhost:{port}"
        self.keys: dict[str, Any] = {}
        self.visits: Counter[str] = Counter()
        self.cache_control = "max-age=3600"
        self.claims = ""
        """What is answered to those who ask for claims with the token `for-claims`."""
        self.rotate("first")

    def rotate(self, identifier: str, *, algorithm: str = "RS256") -> None:
        """Sign with a new key from now on; the old ones are gone."""
        private: Any
        if algorithm.startswith("ES"):
            private = ec.generate_private_key(ec.SECP256R1())
        else:
            private = rsa.generate_private_key(65537, 2048)
        self.keys = {identifier: (algorithm, private)}

    def token(self, *, lifetime: float = 600, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token for the cluster, by the key of now."""
        identifier, (algorithm, private) = next(iter(self.keys.items()))
        now = int(time.time())
        said = {"iss": self.url, "aud": AUDIENCE, "sub": "jane", "iat": now, "exp": now + int(lifetime), **claims}
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, private, algorithm=algorithm, headers={"kid": identifier, **(headers or {})})

    async def answer(self, request: web.Request) -> web.Response:
        """The discovery document or the keys."""
        self.visits[request.path] += 1
        match request.path:
            case "/.well-known/openid-configuration" | "/elsewhere":
                return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})
            case "/keys":
                return web.json_response({"keys": self._published()}, headers={"Cache-Control": self.cache_control})
            case "/claims" if request.headers.get("Authorization") == "Bearer for-claims":
                return web.Response(text=self.claims)
            case _:
                raise web.HTTPNotFound

    def _published(self) -> list[dict[str, Any]]:
        published = []
        for identifier, (algorithm, private) in self.keys.items():
            public = jwt.get_algorithm_by_name(algorithm).to_jwk(private.public_key(), as_dict=True)
            published.append({**public, "use": "sig", "alg": algorithm, "kid": identifier})
        return published


@asynccontextmanager
async def running_issuer(directory: Path, *, port: int = 0) -> AsyncIterator[OidcIssuer]:
    """An issuer that answers until the block ends; `port` 0 is any free one."""
    authority = Authority.ensure(directory, name="issuer-ca", common_name="issuer")
    pair = authority.issue_server("issuer", common_name="issuer", hosts=["localhost", "127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert_file, pair.key_file)
    holder: list[OidcIssuer] = []

    async def answer(request: web.Request) -> web.Response:
        return await holder[0].answer(request)

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context, reuse_address=True)
    await site.start()
    assert site._server is not None
    holder.append(OidcIssuer(authority, site._server.sockets[0].getsockname()[1]))  # type: ignore[attr-defined]
    try:
        yield holder[0]
    finally:
        await runner.cleanup()
