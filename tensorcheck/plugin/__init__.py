"""What the pytest plugin does once a test is watched; `pytest_plugin.py` is the part that pytest always imports."""
