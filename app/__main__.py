"""`python -m app`: the command `windlass`."""

from app.cli import main

if __name__ == "__main__":
    main()
