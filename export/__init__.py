"""A finished run to the phone: deploy graph, conversion, proof."""
