"""The application: FastAPI with the resource API in front of its routes.

Its parts are made here, once, from the configuration, and started and stopped in order. Every request goes through the
pipeline; FastAPI serves what is left (`routes.py`).
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI

import k8slite
from k8slite.catalogue import builtin
from k8slite.clock import Clock, SystemClock
from k8slite.config import ApiServerConfig
from k8slite.schema import Schemas
from k8slite.token_keys import SigningKey, load_verification_keys

from . import bootstrap, routes
from .admission import plugins
from .admission.chain import Chain as AdmissionChain
from .admission.policies.statuses import PolicyStatuses
from .aggregation.aggregator import Aggregator
from .allocation.allocator import Allocator
from .allocation.claims import Claims
from .allocation.holdings import Holdings
from .allocation.ranges import Ranges
from .allocation.repair import Repair
from .audit import auditor
from .authn import assembly as authn
from .authn.last_use import LastUses
from .authn.serviceaccount import Keys
from .authz import assembly as authz
from .authz.rbac import RBAC, CacheSource
from .backends import Backends
from .calls import Receive, Scope, Send
from .custom.serving import CustomResources
from .custom.webhook_conversion import WebhookConversion
from .discovery import Discovery
from .dispatch import Dispatch
from .expiry import Expiry
from .flowcontrol.control import FlowControl
from .flowcontrol.keeper import Keeper
from .lookup import lookup_in
from .openapi import OpenApi
from .pipeline import Application, Pipeline
from .proxying import kubelet_proxy
from .proxying.kubelets import Kubelets
from .registry import Registry
from .resource_metrics.scraping import Scraper
from .resource_metrics.serving import ResourceMetrics
from .storage import engines
from .storage.base import StoreError
from .storage.encryption.store import Encrypting
from .strategies.table import strategies
from .verbs import subresources
from .verbs.access_reviews import AccessReviews
from .verbs.reviews import Reviews
from .verbs.tokens import IssuerSettings, TokenIssuer
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
        self.encryption = Encrypting(
            engines.build(config.store),
            config.encryption_config_file,
            drop_unreadable=config.encryption_drop_unreadable,
        )
        self.store = settled(self.encryption, self.cache)
        key = SigningKey.load(config.service_account_key_file)
        keys = Keys([key.verification, *load_verification_keys(config.service_account_key_files)])
        rbac = RBAC(CacheSource(self.cache))
        self.authorizer = authz.build(config, objects=self.cache, rbac=rbac, clock=self.clock)
        self.backends = Backends(
            objects=self.cache,
            source=source,
            cert_file=config.proxy_client_cert_file,
            key_file=config.proxy_client_key_file,
        )
        self.closing = AsyncExitStack()
        """What authentication leaves to be closed."""
        last_uses = LastUses(lambda: self.registry)
        self.closing.push_async_callback(last_uses.close)
        self.authenticator = authn.build(
            authn.Parts(
                config=config,
                keys=keys,
                objects=self.cache,
                backends=self.backends,
                clock=self.clock,
                touch=last_uses.note,
                closing=self.closing,
            )
        )
        self.hooks = Webhooks(self.backends)
        self.holdings = Holdings(self.cache.resource("", "services"))
        self.claims = Claims(self.store, holdings=self.holdings, consistent=self.cache.consistent)
        self.ranges = Ranges(config.service_cidr, self.cache.resource("networking.k8s.io", "servicecidrs"))
        self.registry = _registry(self, rbac=rbac, source=source)
        self.repair = Repair(
            self.claims,
            holdings=self.holdings,
            ranges=self.ranges,
            objects=self.cache,
            store=self.store,
            clock=self.clock,
        )
        self.expiry = Expiry(ttl=config.event_ttl, objects=self.cache, store=self.store, clock=self.clock)
        self.issuer = TokenIssuer(
            key=key, keys=keys, settings=IssuerSettings.of(config), lookup=lookup_in(self.cache), clock=self.clock
        )
        self.custom = CustomResources(self.registry, webhook=partial(WebhookConversion, self.hooks))
        self.policies = PolicyStatuses(self.registry, published=self.custom.published)
        self.aggregator = Aggregator(self.registry, backends=self.backends)
        self.flow = FlowControl(cache=self.cache, keeper=Keeper(self.registry), seats=config.max_requests_inflight)
        self.metrics = RequestMetrics()
        self.auditor = auditor.build(config.audit, clock=self.clock)
        self.kubelets = Kubelets(config, lookup=lookup_in(self.cache))
        self.scraper = Scraper(self.kubelets, objects=self.cache, clock=self.clock)
        self.dispatch = _dispatch(self)
        self._pipeline = _pipeline(self, others=super().__call__)
        routes.add(self)

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
        if self.auditor is not None:
            await self.auditor.start()
        await self.store.open()
        await self.cache.start(self.store)
        await bootstrap.bootstrap(self.store, config=self.config, clock=self.clock, port=self.port)
        await self.claims.repair(self.clock.now())
        self.repair.start()
        self.expiry.start()
        await self.flow.start()
        await self.custom.start()
        await self.policies.start()
        await self.aggregator.start()

    async def stop(self) -> None:
        """End all watches and close the store; whatever fails in it, the audit log is written to its end."""
        try:
            await self._stop()
        finally:
            if self.auditor is not None:
                await self.auditor.stop()

    async def _stop(self) -> None:
        self.part()
        await self.repair.stop()
        await self.expiry.stop()
        await bootstrap.withdraw(self.store, config=self.config)
        await self.flow.stop()
        await self.policies.stop()
        await self.custom.stop()
        await self.scraper.close()
        await self.kubelets.close()
        await self.aggregator.stop()
        await self.closing.aclose()
        await self.authorizer.close()
        await self.backends.close()
        await self.cache.stop()
        await self.store.close()

    def drain(self) -> None:
        """Be ready no longer, so that clients go elsewhere."""
        self.draining = True

    def part(self) -> None:
        """End the watches: their clients resume elsewhere."""
        self.drain()
        self.cache.end_watches()
        self.aggregator.drain()

    async def checks(self) -> dict[str, str]:
        """Each health check's problem, empty if it passes."""
        problems = {"ping": "", "store": "", "watch-cache": "", "shutdown": ""}
        try:
            await self.store.revision()
        except StoreError as error:
            problems["store"] = str(error) or "unavailable"
        if self.encryption.has_plugins:
            problems["kms-providers"] = await self.encryption.problems()
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


def _registry(app: ApiServer, *, rbac: RBAC, source: random.Random) -> Registry:
    config = app.config
    parts = plugins.Parts(
        config=config,
        objects=app.cache,
        rbac=rbac,
        authorizer=app.authorizer,
        hooks=app.hooks,
        clock=app.clock,
        source=source,
        registry=lambda: app.registry,
    )
    return Registry(
        store=app.store,
        cache=app.cache,
        catalogue=builtin(),
        schemas=Schemas(),
        strategies=strategies(_allocator(app, source=source)),
        admission=AdmissionChain(plugins.build(parts)),
        clock=app.clock,
        source=source,
    )


def _allocator(app: ApiServer, *, source: random.Random) -> Allocator:
    return Allocator(
        ranges=app.ranges,
        node_ports=app.config.node_port_range,
        holdings=app.holdings,
        claims=app.claims,
        source=source,
    )


def _dispatch(app: ApiServer) -> Dispatch:
    """The verbs of every kind, and what stands below objects: reviews, tokens, the ways to kubelets."""
    reviews = Reviews(tokens=app.authenticator.tokens, clock=app.clock)
    access = AccessReviews(app.authorizer)
    handlers = subresources.table(app.registry, reviews=reviews, access=access, issuer=app.issuer)
    dispatch = Dispatch(app.registry, handlers)
    dispatch.subresources.update(
        kubelet_proxy.handlers(app.kubelets, registry=app.registry, objects=app.cache, authorizer=app.authorizer)
    )
    dispatch.computed.update(ResourceMetrics(app.registry, app.scraper).handlers())
    return dispatch


def _pipeline(app: ApiServer, *, others: Application) -> Pipeline:
    catalogue = app.registry.catalogue
    address = f"{app.config.advertise_address}:{app.config.port}"
    return Pipeline(
        authenticator=app.authenticator,
        authorizer=app.authorizer,
        dispatch=app.dispatch,
        sources=[
            Discovery(catalogue, server_address=address, others=app.aggregator),
            OpenApi(catalogue, custom=app.custom.published, others=app.aggregator),
        ],
        aggregator=app.aggregator,
        flow=app.flow,
        metrics=app.metrics,
        auditor=app.auditor,
        others=others,
    )
