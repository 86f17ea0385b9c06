"""`python -m coopr_cli` is `coopr`."""

from coopr_cli.main import main

main()
