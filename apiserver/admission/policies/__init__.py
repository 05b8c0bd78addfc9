"""Admission policies: expressions that refuse a request (ValidatingAdmissionPolicy) or change it (Mutating…).

`configured.py` reads policies and their bindings and says which are about a request, `params.py` finds a binding's
parameters, `validating.py` and `mutating.py` are the two plugins. What they decide is pure: `judging.py` judges an
object, `patching.py` applies what an expression wrote.
"""
