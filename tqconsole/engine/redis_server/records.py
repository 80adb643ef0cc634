"""Result records in Celery's layout (wire.md §4.2), as a piece of Lua that stands in two scripts.

The store writes them alone, or they ride in a worker's exchange when both are one server.
"""

from __future__ import annotations

from collections.abc import Iterable

from tqconsole.engine.protocol.transfer import ResultWrite

KEY_PREFIX = "celery-task-meta-"
#: A record's state when it may not be overwritten.
_JSON = "application/json"

#: `store_record(key, record, seconds, is_json)`: SETEX and PUBLISH, unless a SUCCESS is there.
#: What is no JSON (pickle, yaml) names its state among its first words.
STORE_RECORD = """
local function is_success(old, is_json)
  if is_json == '1' then
    local ok, record = pcall(cjson.decode, old)
    if ok then return type(record) == 'table' and record['status'] == 'SUCCESS' end
  end
  return string.find(string.sub(old, 1, 120), 'SUCCESS', 1, true) ~= nil
end
local function store_record(key, record, seconds, is_json)
  local call, is_kept = redis.call, seconds == '0'
  local is_new
  if is_kept then is_new = call('SET', key, record, 'NX')
  else is_new = call('SET', key, record, 'EX', seconds, 'NX') end
  if not is_new then
    local old = call('GET', key)
    if old and is_success(old, is_json) then return end
    if is_kept then call('SET', key, record) else call('SET', key, record, 'EX', seconds) end
  end
  call('PUBLISH', key, record)
end
"""

#: ARGV: count, then (key, record, seconds, is_json) each.
STORE_ALL = (
    STORE_RECORD
    + """
for i = 2, 1 + 4 * tonumber(ARGV[1]), 4 do
  store_record(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
end
"""
)


def arguments(writes: Iterable[ResultWrite], prefix: str = "") -> list[str | bytes | int]:
    """Return the words of the script for these writes: their count, then four for each."""
    words: list[str | bytes | int] = [0]
    count = 0
    for write in writes:
        count += 1
        seconds = max(1, round(write.expires_s)) if write.expires_s else 0
        is_json = int(write.content_type == _JSON)
        words += (f"{prefix}{KEY_PREFIX}{write.task_id}", write.record, seconds, is_json)
    words[0] = count
    return words
