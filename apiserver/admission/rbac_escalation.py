"""Nobody grants what they do not hold: writes of roles and bindings are compared with the writer's own rules.

Those who hold the verb `escalate` on a role may write any rules into it; those who hold `bind` on a role may bind it.

Source: Kubernetes documentation, "Using RBAC Authorization: Privilege escalation prevention and bootstrapping".
"""

from __future__ import annotations

from k8slite.errors import forbidden, not_found

from ..authz import rules
from ..authz.base import Attributes, Authorizer, Decision
from ..authz.chain import MASTERS
from ..authz.rbac import GROUP, RBAC
from ..authz.rules import Rule
from ..strategies.base import Document
from .base import Admission, Plugin

_ROLES = {"roles": "Role", "clusterroles": "ClusterRole"}
_BINDINGS = frozenset({"rolebindings", "clusterrolebindings"})


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
        if admission.resource.plural in _ROLES:
            await self._role(admission, admission.object)
        else:
            await self._binding(admission, admission.object)

    async def _role(self, admission: Admission, role: Document) -> None:
        old = admission.old or {}
        if (
            admission.operation == "UPDATE"
            and role.get("rules") == old.get("rules")
            and role.get("aggregationRule") == old.get("aggregationRule")
        ):
            return
        if await self._holds(admission, "escalate", admission.resource.plural, role["metadata"].get("name", "")):
            return
        wanted = list(rules.parse(role.get("rules")))
        aggregates = role.get("aggregationRule")
        if aggregates and aggregates != old.get("aggregationRule"):
            # What it will gather in future cannot be known, so only those who hold everything may choose selectors.
            everything = frozenset({rules.ANY})
            wanted += [Rule(everything, everything, everything), Rule(everything, urls=everything)]
        self._compare(admission, wanted)

    async def _binding(self, admission: Admission, binding: Document) -> None:
        old = admission.old or {}
        same = all(binding.get(field) == old.get(field) for field in ("subjects", "roleRef"))
        if admission.operation == "UPDATE" and same:
            return
        kind, name = binding["roleRef"]["kind"], binding["roleRef"]["name"]
        plural = "clusterroles" if kind == "ClusterRole" else "roles"
        if await self._holds(admission, "bind", plural, name):
            return
        granted = self._rbac.role_rules(kind, admission.namespace, name)
        if granted is None:
            raise not_found(plural, name, group=GROUP)
        self._compare(admission, list(granted))

    async def _holds(self, admission: Admission, verb: str, plural: str, name: str) -> bool:
        attributes = Attributes(
            admission.context.user, verb, group=GROUP, resource=plural, namespace=admission.namespace, name=name
        )
        return (await self._authorizer.authorize(attributes))[0] is Decision.ALLOW

    def _compare(self, admission: Admission, wanted: list[Rule]) -> None:
        user = admission.context.user
        held, problems = self._rbac.rules_for(user, admission.namespace)
        if missing := rules.uncovered(wanted, held=held):
            groups = " ".join(f'"{group}"' for group in user.groups)
            detail = (
                f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n'
                + "\n".join(map(str, missing))
            )
            if problems:
                detail += f"; resolution errors: [{', '.join(problems)}]"
            name = admission.name or (admission.object or {})["metadata"].get("name", "")
            raise forbidden(admission.resource.plural, name, detail, group=GROUP)
