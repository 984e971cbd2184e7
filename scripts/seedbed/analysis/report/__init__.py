"""What people read: text, charts and the page."""
