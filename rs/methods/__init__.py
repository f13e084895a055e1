"""Exchangeable methods, one package per kind. interfaces.py is the page of their protocols."""
