"""What the page shows, part by part: pure functions from a snapshot to what a template prints."""
