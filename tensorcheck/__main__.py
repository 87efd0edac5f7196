"""`python -m tensorcheck` is `tensorcheck`."""

from tensorcheck.cli.main import main

main(prog_name="tensorcheck")
