"""What to buy: costs, crossovers, advice, contrasts."""
