"""The measurements of a file, the gate that checks them, the contract and the golden files."""
