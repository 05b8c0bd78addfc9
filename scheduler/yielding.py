"""Making way for nominated pods: a node must be able to run a pod with and without those that it is promised to.

Only pods of the same or a higher priority are made way for. Without them a node may fail too (affinity to a pod that
never comes), so that both answers are asked for. Where amounts decide, all nodes are reckoned at once. Other filters
are asked with the promised pods placed: node by node if a filter reads more than the node, for only a node's own
promises count there.

Source: kube-scheduler's RunFilterPluginsWithNominatedPods.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from .columns import Amounts, Columns
from .framework import Reads
from .judging import Chosen, Concerned
from .labels import Mask
from .shape import Shape
from .view import Pod
from .whatif import WhatIf

Reasons = dict[str, Counter[str]]


def makes_way(concerned: Concerned, pod: Pod, shape: Shape, columns: Columns, rows: Chosen) -> Mask:
    """Which of the rows, all of which can run the pod, still can with those placed that they are promised to."""
    mask = np.ones(rows.size, dtype=np.bool_)
    places, amounts = columns.nominations.yielded(pod, rows)
    if not places.size:
        return mask
    mask[places] = concerned.fits(shape, columns, rows[places], amounts)
    if not concerned.only_measured:
        left = places[mask[places]]
        together = not concerned.pod_filters and all(plugin.reads is Reads.USAGE for plugin in concerned.placed)
        for some in [left] if together else left[:, np.newaxis]:
            promised = [found for row in rows[some].tolist() for found in columns.nominations.before(pod, row)]
            with WhatIf(columns).adding(promised):
                mask[some] = concerned.pods_pass(pod, shape, columns, rows[some])
    return mask


def reasons_for_way(concerned: Concerned, pod: Pod, shape: Shape, columns: Columns, rows: Chosen) -> Reasons:
    """Why rows fail with those placed that they are promised to, by the first filter that says no."""
    places, amounts = columns.nominations.yielded(pod, rows)
    rows = rows[places]
    lacking = ~concerned.fits(shape, columns, rows, amounts)
    found = _lacking(concerned, shape, columns, rows[lacking], amounts[:, lacking]) if lacking.any() else {}
    for row in rows[~lacking, np.newaxis]:
        with WhatIf(columns).adding(columns.nominations.before(pod, int(row[0]))):
            name, reasons = concerned.first_no(pod, shape, columns, row)
        found.setdefault(name, Counter()).update(reasons)
    return found


def _lacking(concerned: Concerned, shape: Shape, columns: Columns, rows: Chosen, more: Amounts) -> Reasons:
    """What rows would lack if more were requested."""
    found: Reasons = {}
    before, columns.requested = columns.requested, columns.requested.copy()
    try:
        columns.requested[:, rows] += more
        for plugin in concerned.measured:
            passed = plugin.filter(shape, columns, rows)
            if not passed.all():
                found[plugin.name] = plugin.explain(shape, columns, rows[~passed])
                rows = rows[passed]
    finally:
        columns.requested = before
    return found
