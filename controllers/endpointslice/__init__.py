"""EndpointSlices: which pods stand behind a Service."""
