"""`python -m energybench` is the `energybench` command."""

from energybench.cli import entry

entry()
