"""What comes in several ways, a package per kind. interfaces.py is the one page of protocols."""
