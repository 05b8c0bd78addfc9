"""Storage engines. Only this package touches a database; `base.py` is the contract, one file per engine."""
