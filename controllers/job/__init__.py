"""Jobs: pods that run until enough of them succeed."""
