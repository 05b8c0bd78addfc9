"""Binds claims and volumes to each other, and says of volumes whose claim is gone what becomes of them.

`matching` finds the volume for a claim, `claims` and `volumes` decide about one of them, `steps` are the writes that
decisions are made of, `sync` carries them out.

A binding is two pointers, `spec.claimRef` of the volume and `spec.volumeName` of the claim, written one after the
other: the volume first, so that nobody else takes it. Whoever comes between two writes finds a state from which the
next decision goes on. Every write is conditional on the revision that was decided on.

Source: Kubernetes documentation, "Persistent Volumes"; pkg/controller/volume/persistentvolume.
"""
