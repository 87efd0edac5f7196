"""Questions put to a copy: what would happen if one thing were different."""
