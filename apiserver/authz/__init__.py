"""Authorization: a file per mode; each allows, or has no opinion."""
