"""How objects and tables look on a terminal."""
