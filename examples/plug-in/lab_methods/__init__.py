"""Methods of a lab, as a plug-in of rs: see docs/adding.md."""
