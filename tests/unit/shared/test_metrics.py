from __future__ import annotations

import socket

import aiohttp

from k8slite.metrics import QueueMetrics, serve_metrics


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_metrics_and_health_over_http() -> None:
    QueueMetrics("test-queue").adds.inc()
    healthy = True
    port = free_port()
    async with serve_metrics(port, healthy=lambda: healthy), aiohttp.ClientSession() as session:
        base = f"http://127.0.0.1:{port}"
        async with session.get(f"{base}/metrics") as answer:
            assert answer.status == 200
            assert 'workqueue_adds_total{name="test-queue"} 1.0' in await answer.text()
        async with session.get(f"{base}/healthz") as answer:
            assert (answer.status, await answer.text()) == (200, "ok")
        healthy = False
        async with session.get(f"{base}/healthz") as answer:
            assert answer.status == 500
        async with session.get(f"{base}/secrets") as answer:
            assert answer.status == 404


async def test_port_zero_serves_nothing() -> None:
    async with serve_metrics(0):
        pass
