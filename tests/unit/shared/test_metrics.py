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
    QueueMetrics("test-queue", working=lambda: [1.5, 4.0]).adds.inc()
    healthy = True
    port = free_port()
    async with (
        serve_metrics(port, checks=lambda: {"leaderElection": True, "sync": healthy}),
        aiohttp.ClientSession() as session,
    ):
        base = f"http://127.0.0.1:{port}"
        async with session.get(f"{base}/metrics") as answer:
            assert answer.status == 200
            text = await answer.text()
            assert 'workqueue_adds_total{name="test-queue"} 1.0' in text
            assert 'workqueue_unfinished_work_seconds{name="test-queue"} 5.5' in text
            assert 'workqueue_longest_running_processor_seconds{name="test-queue"} 4.0' in text
        async with session.get(f"{base}/healthz") as answer:
            assert (answer.status, await answer.text()) == (200, "ok")
        async with session.get(f"{base}/healthz?verbose") as answer:
            assert await answer.text() == "[+]leaderElection ok\n[+]sync ok\nhealthz check passed\n"
        healthy = False
        async with session.get(f"{base}/healthz") as answer:
            assert answer.status == 500
            assert await answer.text() == "[+]leaderElection ok\n[-]sync failed\nhealthz check failed\n"
        async with session.get(f"{base}/secrets") as answer:
            assert answer.status == 404


async def test_port_zero_serves_nothing() -> None:
    async with serve_metrics(0):
        pass
