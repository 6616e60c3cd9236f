"""The kit: the folder that an app developer receives, and the code in it."""
