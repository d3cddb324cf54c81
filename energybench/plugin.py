"""pytest's hooks and the `energy` fixture; everything behind them lives in energybench.harness."""
