"""The commands, one module each, holding one function ``command``."""
