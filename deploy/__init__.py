"""What runs at a site, and the processes of a simulation."""
