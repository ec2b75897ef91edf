"""Proves a deployment from outside: sends fresh made-up identifiers through every surface, in every
disguise, and reads what a recording stand-in received. It knows nothing of what it tests."""
