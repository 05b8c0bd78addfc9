"""Columns of metrics.k8s.io: what is used, over which while.

Source: metrics-server, pkg/api/table.go.
"""

from __future__ import annotations

from decimal import Decimal

from k8slite import quantity

from .base import NAME, Column, Document, at, text

_FAMILIES: dict[str, quantity.Form] = {"cpu": "decimal", "memory": "binary"}


def _of_node(name: str) -> Column:
    return Column(name, lambda document, _: at(document, f"usage.{name}", ""), format="quantity")


def _of_pod(name: str) -> Column:
    def read(document: Document, _: object) -> str:
        parts = (at(each, f"usage.{name}", "0") for each in at(document, "containers", ()))
        return quantity.written(sum(map(quantity.parse, parts), Decimal()), _FAMILIES[name])

    return Column(name, read, format="quantity")


_WINDOW = text("Window", "window")
NODE_METRICS = (NAME, _of_node("cpu"), _of_node("memory"), _WINDOW)
POD_METRICS = (NAME, _of_pod("cpu"), _of_pod("memory"), _WINDOW)
