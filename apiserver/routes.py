"""What FastAPI serves: health, version, metrics, the token issuer's documents, and the list of paths.

Everything else is the pipeline's (`pipeline.py`), which has authenticated and authorized these requests too.

Source: Kubernetes documentation, "Kubernetes API health endpoints".
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from fastapi import Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry
from prometheus_client import generate_latest as latest

import k8slite
from k8slite.errors import no_such_path

from .aggregation.metrics import AvailabilityMetrics
from .flowcontrol import dumps
from .flowcontrol.metrics import FlowControlMetrics

if TYPE_CHECKING:
    from .app import ApiServer


_PUBLISHED = {"Cache-Control": "public, max-age=3600"}
"""Whoever verifies tokens need not ask for the keys at each."""


def add(app: ApiServer) -> None:
    """Add them all to the application."""

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
    if app.auditor is not None:
        collected.register(app.auditor)
    collected.register(app.authenticator.metrics)
    collected.register(AvailabilityMetrics(app.aggregator.services))
    collected.register(FlowControlMetrics(app.flow))

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(latest() + latest(collected), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get(f"{dumps.PATH}dump_priority_levels", response_class=PlainTextResponse)
    async def dump_priority_levels() -> str:
        return dumps.priority_levels(app.flow)

    @app.get(f"{dumps.PATH}dump_queues", response_class=PlainTextResponse)
    async def dump_queues() -> str:
        return dumps.queues(app.flow)

    @app.get(f"{dumps.PATH}dump_requests", response_class=PlainTextResponse)
    async def dump_requests() -> str:
        return dumps.requests(app.flow, now=app.clock.now())

    @app.get("/.well-known/openid-configuration")
    async def openid() -> Response:
        return JSONResponse(app.issuer.discovery(), headers=_PUBLISHED)

    @app.get("/openid/v1/jwks")
    async def keys() -> Response:
        return JSONResponse(app.issuer.keys(), headers=_PUBLISHED, media_type="application/jwk-set+json")

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
