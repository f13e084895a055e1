"""What a study can say: one small file of dataclasses per stage. Imports nothing of ours but errors."""
