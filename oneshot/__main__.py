"""`python -m oneshot`: the command `oneshot`."""

from oneshot.command.main import main, parser, script

__all__ = ["main", "parser"]

if __name__ == "__main__":
    script()
