"""The smoothed classifier, and ascent on images. It works on tensors and knows no methods."""
