"""ResourceQuota: nothing is made or enlarged that a namespace's quotas do not allow.

`evaluate.py` decides, `charging.py` writes what was decided into the quotas' status, `plugin.py` asks both.
"""
