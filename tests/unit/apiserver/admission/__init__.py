"""Admission plugins one by one."""
