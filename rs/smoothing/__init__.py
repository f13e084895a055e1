"""The smoothed classifier and ascent on images: tensors, below the methods."""
