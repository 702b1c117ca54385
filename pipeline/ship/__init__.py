"""The steps of the workflows that are more than one command of windlass: `./run ship STEP`."""
