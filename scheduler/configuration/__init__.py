"""Upstream's KubeSchedulerConfiguration: read, checked, and turned into profiles.

Files: `document` (YAML with lines), `model` and `values` (the fields), `reading` and `validation` (what is wrong, all
of it at once), `plugin_sets` (who runs where: merging with the defaults, expanding multiPoint), `building` (profiles).
"""

GROUP = "kubescheduler.config.k8s.io"
VERSION = f"{GROUP}/v1"
KIND = "KubeSchedulerConfiguration"
