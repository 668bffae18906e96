"""Delivers documents to other systems: the places, the names, and what one delivery goes through."""
