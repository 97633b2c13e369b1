"""`python -m generator` is `medim`."""

from medim_forge.generator.cli.commands import main

if __name__ == "__main__":
    main()
