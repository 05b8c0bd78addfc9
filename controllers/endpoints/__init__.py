"""Endpoints: the older form of EndpointSlices."""
