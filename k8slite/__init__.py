"""k8slite: a container orchestrator that speaks the Kubernetes API.

The package root holds the shared library. The programs (`apiserver`, `scheduler`, `controllers`, `kubelet`, `proxy`,
`cli`) are sub-packages that never import each other; they meet at the API server's HTTPS port.
"""

__version__ = "0.1.0"

KUBERNETES_VERSION = "v1.37.0"
