"""What an operator wrote, read and checked: YAML and master files → frozen values."""
