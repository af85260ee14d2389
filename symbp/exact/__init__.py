"""Single values of expressions in many digits, and the check of every step by them."""
