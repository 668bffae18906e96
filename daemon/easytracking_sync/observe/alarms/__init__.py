"""Alarms: what stands (`decision`, pure), in which words (`letters`), and how it is told (`post`, `watch`)."""
