"""A page that runs a kit's model in a browser, and the server that shows it."""
