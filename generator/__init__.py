"""The factory: from a job file to a committed dataset of pairs, and what is asked of such datasets."""

if __name__ == "generator":  # imported from a checkout by the name of its folder
    from medim_forge.names import same_modules

    same_modules(__name__)
