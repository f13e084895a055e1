"""The settings of a study: one small file of dataclasses per stage. Imports nothing of rs but errors."""
