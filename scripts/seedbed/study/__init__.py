"""The study: what is compared with what, read from YAML and checked before any job runs."""
