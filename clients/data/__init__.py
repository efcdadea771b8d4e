"""Images of the vendors: built-in phantoms and the readers of a site's own data."""
