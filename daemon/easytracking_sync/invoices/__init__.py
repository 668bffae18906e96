"""Invoices understood: bytes become frozen values, and values become pages. Pure: no database, no network, no clock.

What is read here is derived from the stored bytes and can be made again at any time; `READER` is raised whenever a
reading rule changes, so that older results can be found and made anew. Content never makes a reader raise: it
returns a verdict.
"""
