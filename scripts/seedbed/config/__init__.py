"""The files in `config/`, read and checked."""
