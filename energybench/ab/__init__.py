"""Measuring checkouts: two of them in turn on one machine (`energybench ab`), or one (`energybench bisect-step`).

`checkout` makes a folder of each commit, `environment` sees to it that its own code is imported there, `session` runs
pytest in it, `turns` runs base and head in turn, `merge` makes one run of the rounds of several sessions.
"""
