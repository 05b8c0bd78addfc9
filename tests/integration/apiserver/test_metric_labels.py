"""What a client makes up never becomes a label: the server's memory is not the client's to fill."""

from __future__ import annotations

from k8slite.testing.server import running_server


async def test_made_up_resources_and_subresources_are_no_labels() -> None:
    async with running_server() as server, server.http() as http:
        await http.get("/api/v1/namespaces/default/inventions")
        await http.get("/api/v1/namespaces/default/pods/a/fantasies")
        await http.get("/api/v1/namespaces/default/pods")
        metrics = (await http.get("/metrics")).text
    assert 'resource="pods"' in metrics
    assert "inventions" not in metrics
    assert "fantasies" not in metrics
