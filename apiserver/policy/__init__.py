"""The roles and bindings that every cluster starts with, as data; `bootstrap.py` writes them.

Source: Kubernetes' rbac/bootstrappolicy of version 1.37.
"""

from .documents import AUTOUPDATE, binding_documents, role_documents

__all__ = ["AUTOUPDATE", "binding_documents", "role_documents"]
