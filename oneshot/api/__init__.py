"""What `import oneshot` offers to programs and notebooks; nothing heavy is imported here."""
