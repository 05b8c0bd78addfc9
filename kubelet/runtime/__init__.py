"""Container runtimes behind one contract: Docker, and a simulated one that runs nothing."""
