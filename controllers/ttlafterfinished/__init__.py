"""Jobs that have been over for as long as they wished to be kept."""
