"""Pure functions on the model's types: what a difference is made of, and what may be concluded from it."""
