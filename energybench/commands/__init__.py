"""The commands of `energybench`, one module each: `add` declares it, `run` does it.

Nothing heavy is imported before a command runs: declaring them all costs a few milliseconds.
"""
