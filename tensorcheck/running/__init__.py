"""Running somebody's script with every model in it watched."""
