"""The rules, one mistake a file, in a folder for each category."""
