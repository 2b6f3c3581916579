"""Networks read from the layers of a model or from a checkpoint of another code, by family."""
