"""Files of published models: which of our tensors each of theirs is, a file for each family."""
