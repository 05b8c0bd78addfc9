"""The controllers: each brings one kind of object from its actual state to the desired one."""
