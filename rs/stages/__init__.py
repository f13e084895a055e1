"""One file per rule of the workflow, with the rule's name, and what they share."""
