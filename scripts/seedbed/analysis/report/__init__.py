"""Output for people: text, charts and the page."""
