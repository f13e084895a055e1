"""One file per rule of the workflow, with the rule's name, and the code that they share."""
