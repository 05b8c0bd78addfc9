"""The application: FastAPI with the resource API in front of its routes.

`Parts` are made here, once, from the configuration. Every request goes through the pipeline; FastAPI serves what is
left: health, version, metrics, OIDC discovery.

Source: Kubernetes documentation, "Kubernetes API health endpoints".
"""

from __future__ import annotations

import platform
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry
from prometheus_client import generate_latest as latest

import k8slite
from k8slite.catalogue import builtin
from k8slite.clock import Clock, SystemClock
from k8slite.config import ApiServerConfig
from k8slite.errors import no_such_path
from k8slite.schema import Schemas

from . import bootstrap
from .admission import plugins
from .admission.chain import Chain as AdmissionChain
from .aggregation.aggregator import Aggregator
from .authn import chain as authn
from .authn.serviceaccount import ServiceAccountAuthenticator
from .authz.chain import Chain as Authorizer
from .authz.chain import Masters
from .authz.node import NodeAuthorizer
from .authz.rbac import RBAC, CacheSource
from .backends import Backends
from .calls import Receive, Scope, Send
from .custom.serving import CustomResources
from .custom.webhook_conversion import WebhookConversion
from .discovery import Discovery
from .dispatch import Dispatch
from .lookup import lookup_in
from .openapi import OpenApi
from .pipeline import Pipeline
from .proxying import kubelet_proxy
from .proxying.kubelets import Kubelets
from .registry import Registry
from .storage import engines
from .storage.base import StoreError
from .strategies.table import strategies
from .verbs import subresources
from .verbs.reviews import Reviews
from .verbs.tokens import TokenIssuer, TokenKey
from .watching.cache import WatchCache
from .watching.settled import settled
from .webhooks import Webhooks
from .wire.metrics import RequestMetrics
from .wire.request import RequestInfo


class ApiServer(FastAPI):
    """The API server as one ASGI application."""

    def __init__(
        self, config: ApiServerConfig, *, clock: Clock | None = None, source: random.Random | None = None
    ) -> None:
        super().__init__(
            title="k8slite",
            version=k8slite.__version__,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            lifespan=_lifespan,
        )
        self.config = config
        self.clock = clock or SystemClock()
        self.port = config.port
        """The port that is served, if the configuration leaves it open (0)."""
        self.draining = False
        source = source or random.Random(random.SystemRandom().getrandbits(256))
        self.cache = WatchCache()
        self.store = settled(engines.build(config.store), self.cache)
        key = TokenKey.load(config.service_account_key_file)
        rbac = RBAC(CacheSource(self.cache))
        self.authorizer = Authorizer([Masters(), NodeAuthorizer(self.cache), rbac])
        self.authenticator = authn.build(config, key=key, objects=self.cache, clock=self.clock)
        catalogue = builtin()
        self.registry = Registry(
            store=self.store,
            cache=self.cache,
            catalogue=catalogue,
            schemas=Schemas(),
            strategies=strategies(
                cache=self.cache, service_cidr=config.service_cidr, node_ports=config.node_port_range, source=source
            ),
            admission=AdmissionChain(plugins.build(self.cache, rbac=rbac, authorizer=self.authorizer, source=source)),
            clock=self.clock,
            source=source,
        )
        self.issuer = TokenIssuer(
            key=key, issuer=config.service_account_issuer, lookup=lookup_in(self.cache), clock=self.clock
        )
        accounts = ServiceAccountAuthenticator(
            key=key, issuer=config.service_account_issuer, objects=self.cache, clock=self.clock
        )
        reviews = Reviews(
            authenticator=self.authenticator,
            accounts=accounts,
            authorizer=self.authorizer,
            rbac=rbac,
            issuer=config.service_account_issuer,
            clock=self.clock,
        )
        self.backends = Backends(
            objects=self.cache,
            source=source,
            cert_file=config.proxy_client_cert_file,
            key_file=config.proxy_client_key_file,
        )
        self.hooks = Webhooks(self.backends)
        self.custom = CustomResources(self.registry, webhook=partial(WebhookConversion, self.hooks))
        self.aggregator = Aggregator(self.registry, backends=self.backends)
        self.metrics = RequestMetrics()
        self.dispatch = Dispatch(self.registry, subresources.table(self.registry, reviews=reviews, issuer=self.issuer))
        self.kubelets = Kubelets(config, lookup=lookup_in(self.cache))
        self.dispatch.subresources.update(
            kubelet_proxy.handlers(self.kubelets, objects=self.cache, authorizer=self.authorizer)
        )
        self._pipeline = Pipeline(
            authenticator=self.authenticator,
            authorizer=self.authorizer,
            dispatch=self.dispatch,
            sources=[
                Discovery(
                    catalogue,
                    server_address=f"{config.advertise_address}:{config.port}",
                    others=self.aggregator,
                ),
                OpenApi(catalogue, custom=self.custom.published, others=self.aggregator),
            ],
            aggregator=self.aggregator,
            metrics=self.metrics,
            others=super().__call__,
        )
        _routes(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or the lifespan."""
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
        else:
            await self._pipeline(scope, receive, send)

    def joins(self, info: RequestInfo) -> bool:
        """Whether a change of the protocol is for another server to answer: it serves what is asked for."""
        return self.aggregator.find(info) is not None

    async def start(self) -> None:
        """Open the store, fill the cache, create what every cluster has. Raises StoreUnavailable."""
        await self.store.open()
        await self.cache.start(self.store)
        await bootstrap.bootstrap(self.store, config=self.config, clock=self.clock, port=self.port)
        await self.custom.start()
        await self.aggregator.start()

    async def stop(self) -> None:
        """End all watches and close the store."""
        self.drain()
        await bootstrap.withdraw(self.store, config=self.config)
        await self.custom.stop()
        await self.kubelets.close()
        await self.aggregator.stop()
        await self.backends.close()
        await self.cache.stop()
        await self.store.close()

    def drain(self) -> None:
        """Be ready no longer and end the watches, so that clients go elsewhere."""
        self.draining = True
        self.cache.end_watches()
        self.aggregator.drain()

    async def checks(self) -> dict[str, str]:
        """Each health check's problem, empty if it passes."""
        problems = {"ping": "", "store": "", "watch-cache": "", "shutdown": ""}
        try:
            await self.store.revision()
        except StoreError as error:
            problems["store"] = str(error) or "unavailable"
        if self.cache.revision == 0:
            problems["watch-cache"] = "not filled yet"
        if self.draining:
            problems["shutdown"] = "process is shutting down"
        return problems


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    assert isinstance(app, ApiServer)
    await app.start()
    try:
        yield
    finally:
        await app.stop()


def _routes(app: ApiServer) -> None:
    @app.get("/version")
    async def version() -> dict[str, str]:
        major, minor = k8slite.KUBERNETES_VERSION.removeprefix("v").split(".")[:2]
        return {
            "major": major,
            "minor": minor,
            "gitVersion": f"{k8slite.KUBERNETES_VERSION}+k8slite.{k8slite.__version__}",
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": f"python{platform.python_version()}",
            "compiler": platform.python_implementation().lower(),
            "platform": f"{platform.system().lower()}/{_machine()}",
        }

    for endpoint, left_out in (("livez", ("shutdown",)), ("readyz", ()), ("healthz", ("shutdown",))):
        _health(app, endpoint, frozenset(left_out))

    collected = CollectorRegistry()
    collected.register(app.metrics)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(latest() + latest(collected), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/.well-known/openid-configuration")
    async def openid() -> dict[str, Any]:
        return app.issuer.discovery()

    @app.get("/openid/v1/jwks")
    async def keys() -> Response:
        return JSONResponse(app.issuer.keys(), media_type="application/jwk-set+json")

    @app.get("/")
    async def paths() -> dict[str, list[str]]:
        groups = app.aggregator.groups(app.registry.catalogue.groups())
        found = ["/api", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]
        for group, versions in groups.items():
            base = f"/apis/{group}" if group else "/api"
            found += [*([base] if group else []), *(f"{base}/{version}" for version in versions)]
        return {"paths": sorted(found)}

    @app.exception_handler(404)
    async def missing(request: Request, error: Exception) -> Response:
        return JSONResponse(no_such_path().status(), 404)


def _health(app: ApiServer, endpoint: str, left_out: frozenset[str]) -> None:
    async def check(request: Request, name: str = "") -> Response:
        problems = {key: problem for key, problem in (await app.checks()).items() if key not in left_out}
        for excluded in request.query_params.getlist("exclude"):
            problems.pop(excluded, None)
        if name:
            if name not in problems:
                return JSONResponse(no_such_path().status(), 404)
            problems = {name: problems[name]}
        failed = any(problems.values())
        if not failed and "verbose" not in request.query_params:
            return PlainTextResponse("ok")
        lines = [f"[-]{key} failed: {problem}" if problem else f"[+]{key} ok" for key, problem in problems.items()]
        lines.append(f"{endpoint} check {'failed' if failed else 'passed'}")
        return PlainTextResponse("\n".join(lines) + "\n", 500 if failed else 200)

    app.add_api_route(f"/{endpoint}", check, methods=["GET"], response_class=PlainTextResponse)
    app.add_api_route(f"/{endpoint}/{{name}}", check, methods=["GET"], response_class=PlainTextResponse)


def _machine() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
