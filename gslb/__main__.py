"""Run the command line as `python -m gslb`."""

from gslb.cli.app import main

if __name__ == "__main__":
    main()
