"""PRE, Pre-training Regression-based Estimation: the energy of a training from its features, before it begins.

The method of del Rey, Cruz, Franch and Martinez-Fernandez (arXiv 2307.05520), with the store as its training set and
with whole models or devices left out wherever an error is stated (see `crossing`): what a case was (`observation`),
which of its features enter and how (`predictor`, `regression`), what a prediction says (`prediction`), how far off it
was (`check`), and a fitted predictor as a file (`saved`).
"""
