"""`python -m generator` is `medim`."""

from generator.cli import main

if __name__ == "__main__":
    main()
