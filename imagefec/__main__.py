"""`python -m imagefec` is `imagefec`."""

import sys

from imagefec.cli import main

if __name__ == "__main__":
    sys.exit(main())
