"""The base model, object metadata, and the link between a model and its path in the API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

Quantities = dict[str, str | int | float]
IntOrString = int | str


def _same(value: Any) -> Any:
    return value


class Model(BaseModel):
    """A frozen view of a part of an object; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Defaults are shared or made anew, not deep-copied at every use, which would be half the time of reading."""
        schema = handler(source)
        fields: Any = schema
        while fields["type"] != "model-fields":
            if "schema" not in fields:
                return schema
            fields = fields["schema"]
        for field in fields["fields"].values():
            inner = field["schema"]
            default = inner.get("default")
            if isinstance(default, Model):
                inner["default_factory"] = partial(_same, inner.pop("default"))
            elif isinstance(default, list | dict) and not default:
                inner["default_factory"] = type(inner.pop("default"))
        return schema

    def to_wire(self) -> dict[str, Any]:
        """The set fields as the API spells them."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)


class OwnerReference(Model):
    """`metav1.OwnerReference`."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False
    block_owner_deletion: bool = False


class ObjectMeta(Model):
    """`metav1.ObjectMeta`. `resource_version` is opaque outside the API server and its client."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: list[OwnerReference] = []
    finalizers: list[str] = []

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that manages this object, if any."""
        return next((owner for owner in self.owner_references if owner.controller), None)


class Object(Model):
    """What every object has."""

    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta = ObjectMeta()

    @property
    def name(self) -> str:
        """`metadata.name`."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """`metadata.namespace`, empty for cluster-scoped objects."""
        return self.metadata.namespace

    @property
    def uid(self) -> str:
        """`metadata.uid`."""
        return self.metadata.uid

    @property
    def key(self) -> str:
        """`namespace/name`, or `name` alone for cluster-scoped objects: the key of queues and caches."""
        return f"{self.metadata.namespace}/{self.metadata.name}" if self.metadata.namespace else self.metadata.name

    @property
    def deleting(self) -> bool:
        """Whether deletion has begun."""
        return self.metadata.deletion_timestamp is not None


class LabelSelectorRequirement(Model):
    """`metav1.LabelSelectorRequirement`."""

    key: str
    operator: str
    values: list[str] = []


class LabelSelectorModel(Model):
    """`metav1.LabelSelector`; `k8slite.selectors.from_object(selector.to_wire())` makes it match."""

    match_labels: dict[str, str] = {}
    match_expressions: list[LabelSelectorRequirement] = []


class Condition(Model):
    """A status condition of any kind."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    message: str = ""
    observed_generation: int | None = None
    last_transition_time: datetime | None = None
    last_update_time: datetime | None = None
    last_heartbeat_time: datetime | None = None


def split_key(key: str) -> tuple[str, str]:
    """`namespace/name` into its parts; the namespace is empty for cluster-scoped objects."""
    namespace, _, name = key.rpartition("/")
    return namespace, name


K = TypeVar("K", bound=Object)


@dataclass(frozen=True, slots=True)
class ResourceType(Generic[K]):
    """Where objects of one kind live in the API, and the model that reads them."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    model: type[K]

    @property
    def api_version(self) -> str:
        """`v1`, or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, *, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection, of an object, or of its subresource."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)
