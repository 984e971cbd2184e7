"""Training: tiny models from scratch, and students with LoRA."""
