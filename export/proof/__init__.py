"""What is measured of a file, and the gate that judges it."""
