"""Personal data in logs and data that the toolkit did not write: what lies where, and what
already left.

The scan reads; it changes nothing that it was given, and what it finds goes out as keyed tokens,
never as text.
"""
