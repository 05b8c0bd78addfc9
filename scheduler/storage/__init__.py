"""Storage as the scheduler sees it: claims, volumes, classes and drivers, and which nodes have what of them.

`objects` and `sources` are the models, `claims` what a pod asks for, `reach` which nodes come by what, `supply` the
volumes and capacities to choose from, `state` all of it together with what was promised to pods, `rows` what is on each
node, `matching` the decision, `prebinding` its writing.
"""
