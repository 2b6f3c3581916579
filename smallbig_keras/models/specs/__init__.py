"""Networks as data: a frozen description for each family, from which its module builds them."""
