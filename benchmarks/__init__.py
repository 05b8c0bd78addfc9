"""What the README's figures come from, against any Kubernetes API: `python -m benchmarks --kubeconfig FILE [NAME …]`.

Nothing here imports k8slite (except what makes a local image for k8slite's own cluster), so that another cluster is
measured by the same program. Needs Python 3.11, aiohttp and PyYAML; `wrk` is used where it is installed.
"""
