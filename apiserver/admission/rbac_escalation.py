"""Nobody grants what they do not hold: writes of roles and bindings are compared with the writer's own rules.

Those who hold the verb `escalate` on a role may write any rules into it; those who hold `bind` on a role may bind it.
Every change is compared, not only one of the rules: a label may make an aggregated role gather them. What the garbage
collector has to change to delete an object is free.

Source: Kubernetes documentation, "Using RBAC Authorization: Privilege escalation prevention and bootstrapping";
registry/rbac/*/policybased.
"""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.errors import forbidden, not_found

from ..authz import rules
from ..authz.base import Attributes, Authorizer, Decision
from ..authz.chain import MASTERS
from ..authz.index import GROUP
from ..authz.rbac import RBAC
from ..authz.rules import Rule
from ..strategies.base import Document
from .base import Admission, Plugin

_ROLES = {"roles": "Role", "clusterroles": "ClusterRole"}
_BINDINGS = frozenset({"rolebindings", "clusterrolebindings"})
_FREE = ("ownerReferences", "finalizers", "managedFields", "generation", "resourceVersion")
_ALL = frozenset({rules.ANY})
_EVERYTHING = (Rule(_ALL, _ALL, _ALL), Rule(_ALL, urls=_ALL))


class RbacEscalation(Plugin):
    """Refuses; changes nothing."""

    kinds = frozenset((GROUP, plural) for plural in (*_ROLES, *_BINDINGS))

    def __init__(self, *, rbac: RBAC, authorizer: Authorizer) -> None:
        self._rbac = rbac
        self._authorizer = authorizer

    async def validate(self, admission: Admission) -> None:
        """Raise ApiError 403 for a grant of what the user does not hold."""
        if admission.object is None or MASTERS in admission.context.user.groups:
            return
        if admission.old is not None and _without_free(admission.object) == _without_free(admission.old):
            return
        if admission.resource.plural in _ROLES:
            await self._role(admission, admission.object)
        else:
            await self._binding(admission, admission.object)

    async def _role(self, admission: Admission, role: Document) -> None:
        # Who creates a role says its name in the body alone, so a right to escalate this one name does not help.
        name = role["metadata"]["name"] if admission.operation == "UPDATE" else ""
        if await self._holds(admission, "escalate", admission.resource.plural, name):
            return
        if missing := self._missing(admission, rules.parse(role.get("rules"))):
            raise self._refused(admission, missing)
        # What it will gather in future cannot be known, so only those who hold everything may choose selectors.
        gathers = role.get("aggregationRule") or (admission.old or {}).get("aggregationRule")
        if gathers and self._missing(admission, _EVERYTHING):
            detail = "must have cluster-admin privileges to use an aggregationRule"
            raise forbidden(admission.resource.plural, role["metadata"]["name"], detail, group=GROUP)

    async def _binding(self, admission: Admission, binding: Document) -> None:
        kind, name = binding["roleRef"]["kind"], binding["roleRef"]["name"]
        plural = "clusterroles" if kind == "ClusterRole" else "roles"
        if await self._holds(admission, "bind", plural, name):
            return
        granted = self._rbac.role_rules(kind, admission.namespace, name)
        if granted is None:
            raise not_found(plural, name, group=GROUP)
        if missing := self._missing(admission, granted):
            raise self._refused(admission, missing)

    async def _holds(self, admission: Admission, verb: str, plural: str, name: str) -> bool:
        attributes = Attributes(
            admission.context.user, verb, group=GROUP, resource=plural, namespace=admission.namespace, name=name
        )
        return (await self._authorizer.authorize(attributes))[0] is Decision.ALLOW

    def _missing(self, admission: Admission, wanted: Sequence[Rule]) -> list[Rule]:
        held = self._rbac.held(admission.context.user, admission.namespace)
        return rules.uncovered(wanted, held=held.rules)

    def _refused(self, admission: Admission, missing: list[Rule]) -> Exception:
        user = admission.context.user
        groups = " ".join(f'"{group}"' for group in user.groups)
        detail = (
            f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n'
            + "\n".join(map(str, missing))
        )
        if problems := self._rbac.held(user, admission.namespace).problems:
            detail += f"; resolution errors: [{', '.join(problems)}]"
        name = admission.name or (admission.object or {})["metadata"].get("name", "")
        return forbidden(admission.resource.plural, name, detail, group=GROUP)


def _without_free(document: Document) -> Document:
    metadata = {key: value for key, value in document["metadata"].items() if key not in _FREE}
    return {**document, "metadata": metadata}
