"""The variables of one request, as expressions see them.

What costs something to make (the request's description, the namespace) is made when an expression first names it.

Source: apiserver, pkg/admission/plugin/cel/{activation,condition}.go (CreateAdmissionRequest, CreateNamespaceObject).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...cel.environment import Compiled
from ...cel.functions.authorization import Authorizer, ResourceCheck
from ...strategies.base import Document
from ..base import Admission
from ..describing import describe
from ..matching import Match
from .asking import Asking, of_request
from .declared import REQUEST_RESOURCE

_OF_NAMESPACE = (
    *("name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp"),
    *("deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "finalizers"),
)
"""The metadata of a namespace that expressions see."""


class Inputs:
    """Variables by name: values that are there, and functions that make the others once."""

    def __init__(self, known: Mapping[str, Any], made: Mapping[str, Callable[[], Any]]) -> None:
        self._known = dict(known)
        self._made = made

    def needed(self, compiled: Compiled) -> dict[str, Any]:
        """The variables that an expression names, as far as there are such."""
        found = {}
        for name in compiled.names:
            if name not in self._known:
                make = self._made.get(name)
                if make is None:
                    continue
                self._known[name] = make()
            found[name] = self._known[name]
        return found


def inputs(
    admission: Admission,
    match: Match,
    *,
    obj: Document | None,
    old: Document | None,
    asking: Asking,
    namespace: Callable[[], Document | None] = lambda: None,
) -> Inputs:
    """The variables for objects that are presented as `match` says.

    `namespace` gives the Namespace of the request, None if it is in none.
    """
    return Inputs(
        {
            "object": obj,
            "oldObject": old,
            "params": None,
            "authorizer": Authorizer(asking.ask),
            REQUEST_RESOURCE: ResourceCheck(asking.ask, of_request(admission)),
        },
        {"request": lambda: describe(admission, match, uid=""), "namespaceObject": lambda: visible(namespace())},
    )


def visible(namespace: Document | None) -> Document | None:
    """The variable `namespaceObject`: what expressions may know of a Namespace."""
    if namespace is None:
        return None
    metadata = namespace["metadata"]
    shown: Document = {"metadata": {key: metadata[key] for key in _OF_NAMESPACE if key in metadata}}
    return shown | {key: namespace.get(key) or {} for key in ("spec", "status")}
