"""The library that seedbed's scripts share."""
