"""The operators that each target supports, the rules for them, and how a file is checked."""
