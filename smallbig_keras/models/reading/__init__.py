"""From layers and checkpoints to the description of a network: a module a family."""
