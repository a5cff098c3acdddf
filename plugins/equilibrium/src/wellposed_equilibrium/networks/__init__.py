"""Networks with certified Lipschitz constants."""
