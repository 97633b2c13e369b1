"""MeDiM: the network, its samplers, its checkpoints. Torch in, tensors out; it knows nothing of the factory."""

if __name__ == "model":  # imported from a checkout by the name of its folder
    from medim_forge.names import same_modules

    same_modules(__name__)
