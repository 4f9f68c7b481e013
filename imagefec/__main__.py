"""`python -m imagefec` is `imagefec`."""

import sys

try:
    from imagefec.cli import main
except KeyboardInterrupt:  # before the command line can handle it
    sys.exit(130)

if __name__ == "__main__":
    sys.exit(main())
