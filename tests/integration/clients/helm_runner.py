"""One Helm action in a process of its own: the SDK brings a Go runtime, which is not to live inside the tests.

    python helm_runner.py KUBECONFIG ACTION ARGUMENTS-AS-JSON

prints what the action returns as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys

import helm_sdkpy


async def main(kubeconfig: str, action: str, arguments: dict[str, object]) -> None:
    configuration = helm_sdkpy.Configuration(namespace="default", kubeconfig=kubeconfig)
    result = await getattr(helm_sdkpy, action)(configuration).run(**arguments)
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
