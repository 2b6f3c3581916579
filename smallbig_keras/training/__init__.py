"""Training: options, recipes, the loop, and what a run keeps."""
