"""`python -m easytracking_sync` is the command."""

from easytracking_sync.cli import main

main()
