"""Where each DaemonSet's pods fit, kept in step with the nodes.

A node is judged when it comes or when what is asked of it changes: its labels or its taints. Everything else that
happens to nodes, heartbeats above all, costs a comparison. DaemonSets that ask the same share the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from k8slite.kinds.core import Node
from k8slite.kinds.template import RawTemplate

from .placement import Fit, Rules, fit, rules_of


@dataclass(slots=True)
class _Judged:
    """What became of all nodes under one set of rules, and the DaemonSets that go by it."""

    fits: dict[str, Fit]
    users: set[str] = field(default_factory=set)


class Nodes:
    """Answers by DaemonSet. `listed` are all nodes by now; whoever owns this passes on every change of one."""

    def __init__(self, listed: Callable[[], Iterable[Node]]) -> None:
        self._listed = listed
        self._judged: dict[Rules, _Judged] = {}
        self._rules: dict[str, tuple[RawTemplate, Rules]] = {}
        """By the DaemonSet's key: its template, and what that asks."""

    def fits(self, key: str, template: RawTemplate) -> Mapping[str, Fit]:
        """What a DaemonSet of this template has to do with each node. Not to be kept: it changes with the nodes."""
        known = self._rules.get(key)
        if known is None or known[0] is not template:
            rules = rules_of(template)
            if known is None or known[1] != rules:
                self.forget(key)
                judged = self._judged.get(rules)
                if judged is None:
                    judged = self._judged[rules] = _Judged({n.name: fit(rules, n) for n in self._listed()})
                judged.users.add(key)
            known = self._rules[key] = (template, rules)
        return self._judged[known[1]].fits

    def forget(self, key: str) -> None:
        """The DaemonSet is gone, or asks for something else."""
        known = self._rules.pop(key, None)
        if known is None:
            return
        judged = self._judged[known[1]]
        judged.users.discard(key)
        if not judged.users:
            del self._judged[known[1]]

    def change(self, old: Node | None, new: Node | None) -> Iterable[str]:
        """Take a change of a node in; the keys of the DaemonSets that it concerns."""
        if new is None:
            return self._gone(old.name) if old is not None else ()
        if old is not None and _asked(old) == _asked(new):
            return ()
        concerned: set[str] = set()
        for rules, judged in self._judged.items():
            now = fit(rules, new)
            before = judged.fits.get(new.name)
            judged.fits[new.name] = now
            if now is not before and not (before is None and now is Fit.NO):
                concerned |= judged.users
        return concerned

    def _gone(self, name: str) -> Iterable[str]:
        concerned: set[str] = set()
        for judged in self._judged.values():
            if judged.fits.pop(name, Fit.NO) is not Fit.NO:
                concerned |= judged.users
        return concerned


def _asked(node: Node) -> tuple[object, ...]:
    """What of a node DaemonSets ask about."""
    return node.metadata.labels, node.spec.taints
