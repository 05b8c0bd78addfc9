"""Binding by the pod's `binding` subresource."""

from __future__ import annotations

from k8slite.client import Client

from ..view import PODS, Pod


class DefaultBinder:
    """Asks the API server to bind; the UID keeps a namesake that came later from being bound by mistake."""

    name = "DefaultBinder"

    def __init__(self, client: Client) -> None:
        self._client = client

    async def bind(self, pod: Pod, node: str) -> bool:
        """Always bind the pod. Raises ApiError, aiohttp.ClientError or TimeoutError."""
        await self._client.request(
            "POST",
            PODS.path(namespace=pod.namespace, name=pod.name, subresource="binding"),
            body={
                "kind": "Binding",
                "apiVersion": "v1",
                "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
                "target": {"kind": "Node", "apiVersion": "v1", "name": node},
            },
        )
        return True
