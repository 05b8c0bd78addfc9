"""Admission: a file per plugin, run between defaulting and validation; `chain.py` holds their order."""
