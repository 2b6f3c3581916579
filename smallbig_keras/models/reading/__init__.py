"""The description of a network, read from its layers or from a checkpoint of another code."""
