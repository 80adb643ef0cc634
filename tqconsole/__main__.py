"""`python -m tqconsole`: the same as the `tqconsole` command."""

import sys

from tqconsole.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
