"""The scheduler: binds each pending pod to the node that suits it best."""
