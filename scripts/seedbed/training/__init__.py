"""Training: tiny models from scratch, and students by LoRA."""
