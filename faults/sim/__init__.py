"""T-SIM: workers of production's own code in a seeded world of faults, without threads or sockets.

The machine, the carrier, the reader and the loop are those that run in production. Clock, broker,
store, pool and sleep are the world's: one generator of random numbers draws every delay, loss, cut
and death, so a seed is a whole history that can be lived again.
"""
