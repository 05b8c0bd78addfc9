"""Makes volumes of classes with the provisioner `k8slite.io/local`: a directory of the node where the pod will run.

To the rest of Kubernetes it is a provisioner like any other outside: the binder asks it by an annotation on the claim,
and binds what it makes. `claims` decides what to make, `volumes` what becomes of it, `sync` carries both out.
"""
