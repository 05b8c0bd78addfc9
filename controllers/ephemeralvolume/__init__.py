"""Makes the claims of pods' ephemeral volumes: `<pod>-<volume>`, owned by the pod, removed with it.

Source: Kubernetes documentation, "Ephemeral Volumes: Generic ephemeral volumes"; pkg/controller/volume/ephemeral.
"""
