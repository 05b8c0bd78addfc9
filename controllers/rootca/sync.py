"""Publishes the cluster's CA to every namespace as the ConfigMap `kube-root-ca.crt`, which pods mount."""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.config import ConfigError
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import ConfigMap, Namespace
from k8slite.kinds.resources import CONFIG_MAPS, NAMESPACES

from ..context import Context, Runnable

NAME = "kube-root-ca.crt"
KEY = "ca.crt"
DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


def build(context: Context) -> Sequence[Runnable]:
    """The controller; none if the configuration names no CA. Raises ConfigError if the file cannot be read."""
    file = context.config.root_ca_file
    if file is None:
        return []
    try:
        return [RootCaSync(context, file.read_text()).controller]
    except OSError as error:
        raise ConfigError(f"rootCaFile: {file}: {error.strerror}") from error


class RootCaSync:
    """Syncs namespaces."""

    def __init__(self, context: Context, certificate: str) -> None:
        self._context = context
        self._certificate = certificate
        self._namespaces = context.informers.of(NAMESPACES)
        self._published = context.informers.of(CONFIG_MAPS, field_selector=f"metadata.name={NAME}")
        self.controller = Controller("root_ca_cert_publisher", self.sync, clock=context.clock, workers=2)
        self._namespaces.add_handler(self._namespace_changed)
        self._published.add_handler(self._published_changed)

    def _namespace_changed(self, old: Namespace | None, new: Namespace | None) -> None:
        if old is None and new is not None:
            self.controller.queue.add(new.key)

    def _published_changed(self, old: ConfigMap | None, new: ConfigMap | None) -> None:
        if item := new or old:
            self.controller.queue.add(item.namespace)

    async def sync(self, key: str) -> Result:
        """One namespace."""
        namespace = self._namespaces.get(key)
        if namespace is None or namespace.deleting:
            return DONE
        found = self._published.get(f"{key}/{NAME}")
        data = {KEY: self._certificate}
        client = self._context.client
        try:
            if found is None:
                metadata = {
                    "name": NAME,
                    "namespace": key,
                    "annotations": {"kubernetes.io/description": DESCRIPTION},
                }
                body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
                await client.create(CONFIG_MAPS, body, namespace=key)
            elif found.data != data:
                extra = dict.fromkeys(found.data.keys() - data.keys())
                await client.patch(CONFIG_MAPS, NAME, {"data": data | extra}, namespace=key)
        except ApiError as error:
            if error.code not in (404, 409) and not error.namespace_goes:
                raise
        return DONE
