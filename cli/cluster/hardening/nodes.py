"""How nodes are told to run (section 4), and what people have to judge of the objects in the cluster (section 5)."""

from __future__ import annotations

from .controls import RENEW, Control, Examined, NotApplicable, lasting


def _client_certificates(it: Examined) -> list[str]:
    return lasting(*(kubelet.node_name for kubelet in it.kubelets.values()))(it)


def _no_iptables(it: Examined) -> list[str]:
    raise NotApplicable("rules are nftables; iptables is left alone")


CONTROLS = [
    Control("4.2.1", "kubelets know nobody without a certificate", built_in="TLS asks for it"),
    Control("4.2.2", "kubelets obey the API server only", built_in="its certificate names a group that they look for"),
    Control("4.2.3", "kubelets verify their clients", built_in="they do not start without their authority"),
    Control("4.2.4", "kubelets have no open port", built_in="there is none"),
    Control("4.2.5", "idle streams end", "there is no setting"),
    Control("4.2.6", "the kubelet keeps iptables' chains", look=_no_iptables),
    Control("4.2.7", "nodes have the names of their machines", "several share a machine: names are the cluster's"),
    Control("4.2.8", "events are recorded", "events are aggregated, none is dropped for its rate"),
    Control("4.2.9", "kubelets have certificates", built_in="they do not start without one"),
    Control("4.2.10", "kubelets' client certificates are renewed", RENEW, _client_certificates),
    Control("4.2.11", "kubelets' server certificates are renewed", RENEW, lasting("kubelet")),
    Control("4.2.12", "kubelets use strong ciphers", "TLS is 1.2 or newer; there is no setting"),
    Control("4.2.13", "pods have a limit of processes", "set a limit in Docker's daemon.json"),
    Control("4.2.14", "containers have a seccomp profile", "Docker applies its default profile"),
    Control("4.3.1", "the proxy's metrics are on loopback only", built_in="metricsPort is bound to 127.0.0.1"),
    Control("5.1.1", "cluster-admin only where it is needed", "kubectl get clusterrolebindings -o wide"),
    Control("5.1.2", "few may read Secrets", "kubectl auth can-i --list --as=…"),
    Control("5.1.3", "few roles with wildcards", "kubectl get roles,clusterroles -A -o yaml"),
    Control("5.1.4", "few may create pods", "kubectl get rolebindings,clusterrolebindings -A -o wide"),
    Control("5.1.5", "default service accounts are not used", "give programs accounts of their own"),
    Control("5.1.6", "tokens only where they are needed", "set automountServiceAccountToken: false"),
    Control("5.1.7", "nobody works as system:masters", "give people bindings, not copies of the administrator's file"),
    Control("5.1.8", "few may bind, escalate or impersonate", "kubectl get clusterroles -o yaml"),
    Control("5.1.9", "few may create persistent volumes", "kubectl get clusterroles -o yaml"),
    Control("5.1.10", "few may use nodes/proxy", "kubectl get clusterroles -o yaml"),
    Control("5.1.11", "few may approve certificate requests", "kubectl get clusterroles -o yaml"),
    Control("5.1.12", "few may write webhook configurations", "kubectl get clusterroles -o yaml"),
    Control("5.1.13", "few may create tokens", "kubectl get clusterroles -o yaml"),
    Control("5.2", "pods are held to a standard", "label namespaces: see docs/pod-security.md"),
    Control("5.3", "namespaces have network policies", "they are stored, and not enforced yet"),
    Control("5.4", "Secrets as files", "mount Secrets instead of setting environment variables"),
    Control("5.5", "images have a known origin", "write an admission webhook or policy"),
    Control("5.6", "namespaces part tenants", "do not use the namespace default"),
]
