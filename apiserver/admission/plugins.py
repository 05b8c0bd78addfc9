"""Which plugins run, in Kubernetes' order.

A new plugin is a file, a line in `PLUGINS`, and a line in docs/admission.md.

Source: Kubernetes documentation, "Admission Controllers"; kubeapiserver/options/plugins.go (order and defaults).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from k8slite.clock import Clock
from k8slite.config import ApiServerConfig, ConfigError

from ..authz.chain import Chain as Authorizer
from ..authz.rbac import RBAC
from ..lookup import Objects
from ..webhooks import Webhooks
from . import configuration
from .always_pull import AlwaysPullImages
from .base import Plugin
from .certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
    ClusterTrustBundleAttest,
)
from .claim_resize import PersistentVolumeClaimResize
from .configuration import Configurations
from .default_class import DefaultIngressClass, DefaultStorageClass
from .extended_resources import ExtendedResourceToleration
from .external_ips import DenyServiceExternalIPs
from .lifecycle import NamespaceLifecycle
from .limit_ranger import LimitRanger
from .node_restriction import NodeRestriction
from .node_selector import PodNodeSelector
from .node_taints import TaintNodesByCondition
from .owner_references import OwnerReferencesPermissionEnforcement
from .podsecurity import configuration as podsecurity
from .podsecurity.plugin import PodSecurity
from .policies.mutating import MutatingAdmissionPolicy
from .policies.validating import ValidatingAdmissionPolicy
from .priority import Priority
from .quota import plugin as quota
from .quota.plugin import ResourceQuota
from .rbac_escalation import RbacEscalation
from .runtime_class import RuntimeClass
from .serviceaccount import ServiceAccount
from .storage_protection import StorageObjectInUseProtection
from .tolerations import DefaultTolerationSeconds
from .topology_labels import PodTopologyLabels
from .webhooks.mutating import MutatingAdmissionWebhook
from .webhooks.validating import ValidatingAdmissionWebhook

if TYPE_CHECKING:
    from ..registry import Registry


@dataclass(frozen=True, slots=True)
class Parts:
    """What plugins are made of. `registry` may be asked once the server has been put together."""

    config: ApiServerConfig
    objects: Objects
    rbac: RBAC
    authorizer: Authorizer
    hooks: Webhooks
    clock: Clock
    source: random.Random
    registry: Callable[[], Registry]
    configurations: Configurations = field(default_factory=Configurations)

    async def consistent(self) -> None:
        """Wait until the objects are as every server's acknowledged writes left them."""
        await self.registry().cache.consistent()


PLUGINS: dict[str, Callable[[Parts], Plugin]] = {
    "NamespaceLifecycle": lambda parts: NamespaceLifecycle(parts.objects, consistent=parts.consistent),
    "LimitRanger": lambda parts: LimitRanger(parts.objects),
    "ServiceAccount": lambda parts: ServiceAccount(parts.objects, consistent=parts.consistent, clock=parts.clock),
    "NodeRestriction": lambda parts: NodeRestriction(parts.authorizer),
    "TaintNodesByCondition": lambda parts: TaintNodesByCondition(),
    "AlwaysPullImages": lambda parts: AlwaysPullImages(),
    "PodSecurity": lambda parts: PodSecurity(
        parts.objects, settings=podsecurity.read(parts.configurations), clock=parts.clock
    ),
    "PodNodeSelector": lambda parts: PodNodeSelector(parts.objects),
    "Priority": lambda parts: Priority(parts.objects),
    "DefaultTolerationSeconds": lambda parts: DefaultTolerationSeconds(),
    "ExtendedResourceToleration": lambda parts: ExtendedResourceToleration(),
    "DefaultStorageClass": lambda parts: DefaultStorageClass(parts.objects),
    "StorageObjectInUseProtection": lambda parts: StorageObjectInUseProtection(),
    "OwnerReferencesPermissionEnforcement": lambda parts: OwnerReferencesPermissionEnforcement(
        authorizer=parts.authorizer, catalogue=lambda: parts.registry().catalogue
    ),
    "PersistentVolumeClaimResize": lambda parts: PersistentVolumeClaimResize(parts.objects),
    "RuntimeClass": lambda parts: RuntimeClass(parts.objects, consistent=parts.consistent),
    "CertificateApproval": lambda parts: CertificateApproval(parts.authorizer),
    "CertificateSigning": lambda parts: CertificateSigning(parts.authorizer),
    "ClusterTrustBundleAttest": lambda parts: ClusterTrustBundleAttest(parts.authorizer),
    "CertificateSubjectRestriction": lambda parts: CertificateSubjectRestriction(),
    "DefaultIngressClass": lambda parts: DefaultIngressClass(parts.objects),
    "PodTopologyLabels": lambda parts: PodTopologyLabels(parts.objects),
    "DenyServiceExternalIPs": lambda parts: DenyServiceExternalIPs(),
    "MutatingAdmissionPolicy": lambda parts: MutatingAdmissionPolicy(
        objects=parts.objects, authorizer=parts.authorizer, registry=parts.registry
    ),
    "MutatingAdmissionWebhook": lambda parts: MutatingAdmissionWebhook(
        objects=parts.objects,
        hooks=parts.hooks,
        authorizer=parts.authorizer,
        registry=parts.registry,
        consistent=parts.consistent,
    ),
    "ValidatingAdmissionPolicy": lambda parts: ValidatingAdmissionPolicy(
        objects=parts.objects, authorizer=parts.authorizer, registry=parts.registry
    ),
    "ValidatingAdmissionWebhook": lambda parts: ValidatingAdmissionWebhook(
        objects=parts.objects,
        hooks=parts.hooks,
        authorizer=parts.authorizer,
        registry=parts.registry,
        consistent=parts.consistent,
    ),
    "RBACEscalation": lambda parts: RbacEscalation(rbac=parts.rbac, authorizer=parts.authorizer),
    "ResourceQuota": lambda parts: ResourceQuota(
        parts.objects,
        registry=parts.registry,
        configuration=parts.configurations.of("ResourceQuota", kind=quota.KIND, versions=quota.VERSIONS),
    ),
}
"""By name, in order. Kubernetes has the escalation check in its RBAC storage; here it is a plugin like the others."""

ALWAYS = frozenset({"RBACEscalation"})
"""Those that cannot be switched off."""
OPTIONAL = frozenset(
    {
        "AlwaysPullImages",
        "DenyServiceExternalIPs",
        "ExtendedResourceToleration",
        "OwnerReferencesPermissionEnforcement",
        "PodNodeSelector",
    }
)
"""Those that run only where the configuration enables them."""


def build(parts: Parts) -> list[Plugin]:
    """The plugins that a configuration asks for. Raises ConfigError for a name that is none."""
    enabled, disabled = set(parts.config.enable_admission_plugins), set(parts.config.disable_admission_plugins)
    if unknown := sorted((enabled | disabled) - PLUGINS.keys()):
        raise ConfigError(f"unknown admission plugin: {', '.join(unknown)}")
    if fixed := sorted(disabled & ALWAYS):
        raise ConfigError(f"admission plugin cannot be disabled: {', '.join(fixed)}")
    chosen = (PLUGINS.keys() - OPTIONAL | enabled) - disabled
    configurations = configuration.read(parts.config.admission_control_config_file)
    if unknown := sorted(configurations.names - PLUGINS.keys()):
        raise ConfigError(f"configuration of an unknown admission plugin: {', '.join(unknown)}")
    parts = replace(parts, configurations=configurations)
    return [make(parts) for name, make in PLUGINS.items() if name in chosen]
