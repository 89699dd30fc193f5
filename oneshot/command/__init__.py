"""The command `oneshot`: its subcommands, and what completes them in a shell."""
