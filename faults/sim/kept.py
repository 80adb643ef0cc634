"""Seeds that are lived again with every commit, each with what it shows when that is taken away.

A change of the world's own dice makes other histories of the same seeds: then look for new ones,
with the mechanism switched off.
"""

from __future__ import annotations

from collections.abc import Mapping

KEPT: Mapping[int, str] = {
    0: "an early acknowledgement of what is to be acknowledged late",
    2: "settlements of an exchange that failed, forgotten",
    3: "settlements of an exchange that failed, forgotten",
    6: "a loss that was taken over from a dead worker and never settled",
    8: "links of an exchange that failed, forgotten",
    13: "a dead letter whose message was taken back and came again, without its reason",
    16: "a loss that was taken over from a dead worker and never settled",
    21: "a dead letter whose message was taken back and came again, without its reason",
    45: "links of an exchange that failed, forgotten",
    99: "a dead letter whose message was taken back and came again, without its reason",
    4706: "a link owed by a worker that died, whose message was called off before it ran again",
    8723: "what has come behind a message that had run here already, left until the bell rings",
}
