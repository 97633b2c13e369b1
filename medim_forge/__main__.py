"""`python -m medim_forge` is the command `medim`."""

from medim_forge.generator.cli import main

if __name__ == "__main__":
    main()
