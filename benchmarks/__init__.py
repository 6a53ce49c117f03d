"""What the README claims, re-measured."""
