"""Pod Security: what pods of a namespace may ask for, by the levels that its labels name.

`checks/` has the controls, pure functions over a pod; `evaluation.py` knows which of them make up a level in a version;
`levels.py` reads the labels, `configuration.py` the defaults and exemptions; `plugin.py` is what admission calls.
"""
