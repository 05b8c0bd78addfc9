"""Lets volumes grow when their claims ask for more.

Volumes of drivers outside are left to these. Local volumes are directories without a quota, so that nothing has to be
done on their node: they have grown once it is written down.

Source: Kubernetes documentation, "Persistent Volumes: Expanding"; pkg/controller/volume/expand and
volume/util/operationexecutor for the order of the writes.
"""
