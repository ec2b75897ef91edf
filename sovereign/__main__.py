"""``python -m sovereign`` is the ``sovereign`` command."""

from sovereign.cli import main

if __name__ == "__main__":
    main()
