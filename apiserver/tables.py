"""Tables: what `kubectl get` prints, made on the server, so that every client shows the same columns.

Source: Kubernetes documentation, "API concepts: receiving resources as tables"; kinds of meta.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from k8slite.catalogue import Resource

from .columns import columns_of
from .columns.base import Column
from .columns.pods import finished

Document = dict[str, Any]
IncludeObject = Literal["None", "Metadata", "Object"]


def table(
    resource: Resource,
    documents: Iterable[Document],
    *,
    now: datetime,
    include_object: IncludeObject = "Metadata",
    list_metadata: Document,
    version: Literal["v1", "v1beta1"] = "v1",
    columns: tuple[Column, ...] | None = None,
) -> Document:
    """The Table of some objects of one resource.

    `columns` replaces the resource's own (custom resources bring theirs). A watch sends one such table for each event;
    it may drop `columnDefinitions` from all but the first.
    """
    shown = columns if columns is not None else columns_of(resource)
    api_version = f"meta.k8s.io/{version}"
    is_pod = (resource.group, resource.kind) == ("", "Pod")
    rows = []
    for document in documents:
        row: Document = {"cells": [column.read(document, now) for column in shown]}
        if is_pod and (conditions := finished(document)):
            row["conditions"] = conditions
        if include_object == "Object":
            row["object"] = document
        elif include_object == "Metadata":
            row["object"] = {
                "kind": "PartialObjectMetadata",
                "apiVersion": api_version,
                "metadata": document.get("metadata", {}),
            }
        else:
            row["object"] = None
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": api_version,
        "metadata": list_metadata,
        "columnDefinitions": [column.definition() for column in shown],
        "rows": rows,
    }
