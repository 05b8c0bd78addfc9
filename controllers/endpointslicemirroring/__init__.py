"""EndpointSlices from Endpoints that somebody made by hand."""
