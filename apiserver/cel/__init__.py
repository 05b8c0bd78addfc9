"""CEL as Kubernetes uses it: checked against declared types, bounded in what an evaluation may cost.

`environment.py` compiles an expression for given variables; `types.py` declares them, from a structural schema as well;
`program.py` evaluates, `cost.py` estimates beforehand, `functions/` holds the language's and Kubernetes' libraries.
"""
