"""Numbers that leave their range or say nothing any more: TCK6xx."""
