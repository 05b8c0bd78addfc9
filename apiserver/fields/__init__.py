"""Who owns which field: `metadata.managedFields`, and server-side apply.

Everything here is pure: documents, schemas (`Atom`) and a writer go in, documents and entries come out. What the verbs
do with it stands in `verbs/managing.py` and `verbs/applying.py`.

Source: Kubernetes documentation, "Server-Side Apply"; sigs.k8s.io/structured-merge-diff.
"""
