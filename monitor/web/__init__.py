"""What an operator sees: pages and the JSON behind them."""
