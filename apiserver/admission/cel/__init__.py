"""Expressions of admission: the match conditions of webhooks, and everything that admission policies say.

`declared.py` says which variables an expression may use and of what types they are, `expressions.py` compiles,
`inputs.py` makes the variables of one request, `evaluation.py` runs expressions on a budget, `conditions.py` is match
conditions, `asking.py` brings the authorizers' answers to where nothing can be awaited.
"""
