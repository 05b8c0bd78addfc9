"""`python -m k8slite` is the `k8slite` command."""

import importlib

importlib.import_module("k8slite.cli.main").main()
