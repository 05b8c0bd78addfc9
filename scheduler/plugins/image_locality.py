"""A node that has a pod's images already starts it sooner.

What an image is worth goes by its size and by how many of the nodes have it: were it worth as much on the one node that
has it, every pod would go there. So a node's score depends on the others, and is worked out for all at once, kept until
one of the images or the number of nodes changes.

Source: Kubernetes documentation, "Scheduling Policies"; kube-scheduler, the ImageLocality plugin.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..change import Change
from ..columns import Columns, Placed
from ..framework import MAX_SCORE, Scores
from ..labels import Mask
from ..node_images import NodeImage
from ..shape import Shape
from ..view import Node, Pod

MIB = 1 << 20
#: A pod's images, weighed by their spread, are worth nothing below this.
LEAST = 23 * MIB
#: Each image is worth no more than this.
MOST = 1000 * MIB

#: Sets of images remembered; each takes 8 bytes a node.
REMEMBERED = 128


@lru_cache(maxsize=4096)
def normalized(name: str) -> str:
    """An image's name as nodes report it: with a tag."""
    return f"{name}:latest" if name.rfind(":") <= name.rfind("/") else name


def images_of(pod: Pod) -> tuple[str, ...]:
    """What the pod runs or mounts, an image as often as it does."""
    spec = pod.spec
    names = [normalized(container.image) for container in spec.containers]
    if spec.init_containers:
        names += [normalized(container.image) for container in spec.init_containers]
    if spec.volumes:
        names += [normalized(volume.image.reference) for volume in spec.volumes if volume.image is not None]
    return tuple(names)


@dataclass(slots=True, eq=False)
class _Image:
    """An image that some nodes have. `rows` is a set of bits, `changed` the time of the column when it changed last."""

    size: int
    """As the first node reported it that had it."""
    rows: int = 0
    changed: int = 0


class ImageColumn:
    """Which nodes have which images."""

    def __init__(self) -> None:
        self.capacity = 0
        self.nodes = 0
        """How many there are."""
        self.live = 0
        """Their rows, as a set of bits."""
        self.time = 0
        """Goes on with every change."""
        self.images: dict[str, _Image] = {}
        self._reported: dict[int, tuple[NodeImage, ...]] = {}

    def set_node(self, row: int, node: Node | None) -> Change:
        """Nothing here keeps a pod from a node, so that nothing is told."""
        before = self._reported.get(row)
        now = None if node is None else node.status.images
        if before != now:
            self.time += 1
            self._take_away(row, before or ())
            self._add(row, now or ())
            self.nodes += (now is not None) - (before is not None)
            if now is None:
                del self._reported[row]
                self.live &= ~(1 << row)
            else:
                self._reported[row] = now
                self.live |= 1 << row
        return Change.NOTHING

    def _take_away(self, row: int, images: tuple[NodeImage, ...]) -> None:
        for image in self._named(images):
            image.rows &= ~(1 << row)
        for name in (name for image in images for name in image.names):
            if name in self.images and not self.images[name].rows:
                del self.images[name]

    def _add(self, row: int, images: tuple[NodeImage, ...]) -> None:
        for reported in images:
            for name in reported.names:
                if name not in self.images:
                    self.images[name] = _Image(reported.size)
        for image in self._named(images):
            image.rows |= 1 << row

    def _named(self, images: tuple[NodeImage, ...]) -> Iterator[_Image]:
        for name in (name for image in images for name in image.names):
            if (image := self.images.get(name)) is not None:
                image.changed = self.time
                yield image

    def account(self, placed: Placed, sign: int) -> None:
        """Pods change nothing; what they pull, their node will report."""

    def grow(self, capacity: int) -> None:
        """More rows."""
        self.capacity = capacity
        self.time += 1

    def stamp(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """What the scores of images were worked out from: equal stamps, equal scores."""
        changed = (image.changed if (image := self.images.get(name)) else 0 for name in names)
        return (self.capacity, self.nodes, *changed)

    def scores(self, names: tuple[str, ...]) -> Scores:
        """0–100 for each row."""
        sums = np.zeros(self.capacity)
        for image in filter(None, map(self.images.get, names)):
            worth = int(image.size * (image.rows.bit_count() / self.nodes))
            sums += self._flags(image.rows) * float(worth)
        most = MOST * len(names)
        np.clip(sums, LEAST, most, out=sums)
        sums -= LEAST
        sums *= MAX_SCORE
        sums /= most - LEAST
        return np.floor(sums, out=sums)

    def even(self, scores: Scores) -> bool:
        """Whether all nodes have the same score."""
        found = scores[self._flags(self.live).view(np.bool_)]
        return bool((found == found[:1]).all())

    def _flags(self, rows: int) -> npt.NDArray[np.uint8]:
        """A set of bits as zeros and ones by row."""
        bits = np.frombuffer(rows.to_bytes(-(-self.capacity // 8), "little"), dtype=np.uint8)
        return np.unpackbits(bits, bitorder="little")[: self.capacity]


@dataclass(slots=True)
class _Known:
    """The scores of a set of images, None if they say the same of all nodes."""

    time: int
    stamp: tuple[int, ...]
    scores: Scores | None


class ImageLocality:
    """Scores by the images that nodes have."""

    name = "ImageLocality"
    weight = 1

    def __init__(self, columns: Columns) -> None:
        self._column = columns.of(ImageColumn)
        self._known: OrderedDict[tuple[str, ...], _Known] = OrderedDict()

    def concerned(self, pod: Pod, shape: Shape) -> bool:
        """Whether the pod's images are worth more on one node than on another."""
        return bool(self._column.images) and self._scores(pod) is not None

    def compare(self, pod: Pod, shape: Shape, columns: Columns, feasible: Mask) -> Scores:
        """More for larger images, and for those that more nodes have."""
        scores = self._scores(pod)
        return np.zeros(columns.capacity) if scores is None else scores.copy()

    def _scores(self, pod: Pod) -> Scores | None:
        names, column = images_of(pod), self._column
        known = self._known.get(names)
        if known is not None and known.time == column.time:
            return known.scores
        stamp = column.stamp(names)
        if known is None or known.stamp != stamp:
            scores = column.scores(names)
            known = _Known(column.time, stamp, None if column.even(scores) else scores)
        known.time = column.time
        self._known[names] = known
        self._known.move_to_end(names)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return known.scores
