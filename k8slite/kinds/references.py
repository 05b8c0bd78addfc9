"""What several core kinds point with: objects, keys, fields of a pod."""

from __future__ import annotations

from .base import Model


class ObjectReference(Model):
    """`v1.ObjectReference`."""

    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    field_path: str = ""


class KeySelector(Model):
    """A key of a ConfigMap or a Secret."""

    name: str = ""
    key: str
    optional: bool = False


class ObjectFieldSelector(Model):
    """A field of the pod itself."""

    field_path: str
    api_version: str = "v1"


class ResourceFieldSelector(Model):
    """A resource request or limit of a container."""

    resource: str
    container_name: str = ""
    divisor: str | int = "1"


class LocalObjectReference(Model):
    """A name in the same namespace."""

    name: str = ""
