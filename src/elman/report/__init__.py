"""How a report is drawn: the frame of the page (`frame`), its charts (`charts`), style and script.

What stands in it, the tasks know (`elman.tasks.report`); nothing here knows of networks.
"""
