"""Forward operators of no particular modality, and the patterns they are made of."""
