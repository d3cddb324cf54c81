"""The commands of `energybench`, one module each: `add` declares it, `run` does it.

Nothing heavy is imported before a command runs, and of all commands only the one that was called (see `cli`).
"""
