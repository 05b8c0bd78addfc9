"""What objects use of the things that are counted: amounts, pods' resources, and what a quota charges for an object.

Admission (which charges) and the quota controller (which counts anew) share it, so that they cannot disagree.
"""
