"""The scheduler: binds each pending pod to the node that suits it best."""

import os

# numpy's linear algebra library would start a thread for each core, for work that the scheduler has none of.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
