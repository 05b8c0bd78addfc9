"""The images that a node reports: values that all nodes share, for thousands of nodes report the same ones."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, NamedTuple

from pydantic import PlainValidator


class NodeImage(NamedTuple):
    """An image, by all its names, and its size in bytes."""

    names: tuple[str, ...]
    size: int


@lru_cache(maxsize=16384)
def _image(names: tuple[str, ...], size: int) -> NodeImage:
    return NodeImage(names, size)


@lru_cache(maxsize=1024)
def _shared(images: tuple[NodeImage, ...]) -> tuple[NodeImage, ...]:
    return images


def _read(images: Any) -> tuple[NodeImage, ...]:
    return _shared(tuple(_image(tuple(each.get("names") or ()), each.get("sizeBytes") or 0) for each in images or ()))


NodeImages = Annotated[tuple[NodeImage, ...], PlainValidator(_read)]
"""`status.images` of a node."""
