"""HTTP extenders: servers that have a say in placing pods (kube-scheduler's extender protocol, v1).

Files: `extender` (one server and how it is asked), `wire` (what goes over the line), `consultation` (all of them asked
about one pod), `plugins` (their answers as plugins of every profile), `lane` (where their pods are decided).
"""
