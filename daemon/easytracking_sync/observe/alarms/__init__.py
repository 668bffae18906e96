"""Alarms: which exist and what to report of them (`rules`), their messages, and how these are sent."""
