"""From a ranking to a cure: the rows edited, the base trained again, what came of it judged."""
